"""Files at addresses, as s3://bucket/a.mp4: through `fsspec`, and copies on the disk."""
