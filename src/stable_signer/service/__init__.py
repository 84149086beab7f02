"""The HTTP service and its web page; needs the extra: `pip install 'stable-signer[serve]'`."""
