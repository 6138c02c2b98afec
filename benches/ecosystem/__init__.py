"""The benchmark of what Python programs use: fsspec, zarr and loaders, beside s3fs at a local object server."""
