#!/usr/bin/env bash
# Programs that the tests talk to: a browser, a PACS and DICOM's own checkers. Installed where we may (Debian, as root);
# elsewhere the tests that need them skip and say so.
set -u
missing=()
for pair in chromium:chromium Orthanc:orthanc dcm2pnm:dcmtk dciodvfy:dicom3tools; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair##*:}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "not installed: ${missing[*]}; the tests that talk to them will skip" >&2
  exit 0
fi
[[ " ${missing[*]} " == *" orthanc "* ]] && missing+=(orthanc-dicomweb)
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}"; } >/dev/null 2>&1 ||
  echo "could not install: ${missing[*]}; the tests that talk to them will skip" >&2
exit 0
