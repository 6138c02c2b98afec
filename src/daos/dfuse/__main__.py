"""`python -m daos.dfuse`: the command `dfuse`."""

from daos.dfuse import main

main()
