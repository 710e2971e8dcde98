#!/bin/sh
# Fetch the page's libraries from npm, unchanged, with their licences. `make vendor` calls this; it needs npm and tar.
# vendor/SHA256SUMS lists what is expected: a test compares the files with it, and so does the last step here.
set -eu
cd "$(dirname "$0")/vendor"

HTM=htm@3.1.1       # its "standalone" file contains Preact and the hooks
UPLOT=uplot@1.6.32
PREACT=preact@10.9.0 # only for the licence of the Preact inside htm's file

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fetch() { # package@version, then pairs of a file in the package and its name here
  package=$1
  shift
  (cd "$scratch" && rm -rf package && tar xzf "$(npm pack --silent "$package")")
  while [ $# -gt 0 ]; do
    cp "$scratch/package/$1" "$2"
    chmod 644 "$2"
    shift 2
  done
}

fetch "$HTM" preact/standalone.module.js htm-preact-standalone.module.js LICENSE htm-LICENSE.txt
fetch "$UPLOT" dist/uPlot.iife.min.js uPlot.iife.min.js dist/uPlot.min.css uPlot.min.css LICENSE uPlot-LICENSE.txt
fetch "$PREACT" LICENSE preact-LICENSE.txt
if [ "${1:-}" = --update ]; then
  sha256sum ./*.js ./*.css ./*.txt > SHA256SUMS
fi
sha256sum --check --quiet SHA256SUMS
