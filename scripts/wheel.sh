#!/bin/sh
# Build the wheel with the gateway compiled (mypyc) into the folder $2 with the Python $1. Needs a C compiler.
# From a copy: the compiler leaves its libraries beside the sources, and an editable install would then use them.
set -eu
python=$1
folder=$2
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$folder"
cp -R src pyproject.toml README.md LICENSE "$copy"
find "$copy" -name '*.so' -delete
HATCH_BUILD_HOOKS_ENABLE=true "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps -w "$folder" "$copy"
ls "$folder"/gnomon-*.whl
