#!/bin/sh
# Builds the environment of the image: build-steps.sh SOURCE TARGET
# Then compiles the drawing code once and signs a word, so that the image starts fast and is known to work.
set -eu
source=$1 target=$2
python3 -m venv "$target"
"$target/bin/pip" install --no-cache-dir --quiet ${PIP_OPTIONS:-} "$source[serve]"
export NUMBA_CACHE_DIR="$target/numba"
"$target/bin/stable-signer" sign "Hello" --size 128 -o "$target/hello.mp4"
rm "$target/hello.mp4"
chmod -R a+rX "$target"
"$target/bin/stable-signer" doctor >/dev/null
echo "built $target"
