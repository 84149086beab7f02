"""`python -m stable_signer` is the command `stable-signer`."""

import sys

from stable_signer.cli import main

sys.exit(main())
