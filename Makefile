PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin/python

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
setup: ## create .venv with the pinned tools
	@$(PYTHON) -m tools.setup_env
build: setup ## build the native core into .venv
	@$(VENV) -m tools.build
demo: build ## what runs today, on real files
	@$(VENV) -m tools.demo
check: build ## every gate that only reads
	@$(VENV) -m tools.check
fix: setup ## format, and repair what can be repaired by itself
	@$(VENV) -m tools.check --fix
test: ## everything: setup, build, check, test-rust, test-py, with timings
	@$(PYTHON) -m tools.steps
test-rust: ## the tests of the Rust crates
	@cargo test --profile fast --locked
bench: setup ## compare with peers: ONLY=embedded or a row's beginning, QUICK=1, HUGE=1, PROFILE=release
	@$(VENV) -m benches.run --only "$(ONLY)" $(if $(QUICK),--quick) $(if $(HUGE),--huge) $(if $(PROFILE),--profile $(PROFILE))
torture: build ## kill a busy process, ROUNDS=50 times, and compare what is left with what it was told
	@$(VENV) -m tools.kill_rounds --rounds $(or $(ROUNDS),50)
torture-system: build ## kill daemons of a busy system, ROUNDS=20 times, SEED=n to repeat, and compare what is left with what clients were told
	@$(VENV) -m tools.system_rounds --rounds $(or $(ROUNDS),20) $(if $(SEED),--seed $(SEED))
fuzz: build ## mutations of what is stored, decoded: SECONDS=10 for each decoder, SEED=n to repeat
	@DAOS_FUZZ_SECONDS=$(or $(SECONDS),10) DAOS_FUZZ_SEED=$(SEED) cargo test --profile fast --locked \
		-p daos-vos -p daos-embed -p daos-client -p daos-wire -p daos-net -p daos-door -p daos-consensus --lib fuzz:: -- --nocapture
	@DAOS_FUZZ_SECONDS=$(or $(SECONDS),10) DAOS_FUZZ_SEED=$(SEED) $(VENV) -m pytest -q -s --timeout 0 tests/unit/test_fuzz.py
sanitize: build ## tests with the compiler's sanitizers, if there is a nightly toolchain: ONLY=address or thread
	@$(VENV) -m tools.sanitize --only "$(ONLY)"
mutants: build ## planted mistakes that the tests must see: ONLY="01,27"
	@$(VENV) -m tools.mutants "$(ONLY)"
test-py: build ## the tests of the Python package, its docs and its tools
	@$(VENV) -m pytest
.PHONY: help setup build demo check fix test test-rust test-py torture torture-system fuzz sanitize mutants bench
