#!/bin/sh
# Puts a bundle of `lucency export --to coreml` into the sample: copy-bundle.sh BUNDLE
set -eu
[ -f "${1:?usage: copy-bundle.sh BUNDLE}/model.mlpackage.zip" ] || { echo "$1: expected a bundle for Core ML" >&2; exit 2; }
to=$(dirname "$0")/Sample.swiftpm/App/Resources/bundle
rm -rf "$to"
mkdir -p "$to"
cp -R "$1/card.json" "$1/golden" "$to"
unzip -q "$1/model.mlpackage.zip" -d "$to"
echo "$to"
