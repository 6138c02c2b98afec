"""The services of the management plane: what they decide, replicated and pure.

`docs/internals/services.md` tells how. Commands, events and the time come in; outcomes and effects go out. Nothing here
has a clock, a socket, a file or randomness in reach.
"""
