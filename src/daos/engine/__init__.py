"""`daos_engine`: the Python process around a rank's targets, which holds replicas of pool services.

`docs/internals/engine.md` tells how. `python -m daos.engine` is started by `daos_server`, by nobody else.
"""
