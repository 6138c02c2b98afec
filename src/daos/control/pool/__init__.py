"""The pool service: map, handles, properties, access lists and containers of one pool."""
