#!/usr/bin/env bash
# Programs that some tests talk to: a browser, a PACS and DICOM's own checkers. Without them those tests skip and say so.
#   scripts/peers.sh            names those that are missing
#   scripts/peers.sh --install  installs them with apt-get (Debian, as root)
set -u
missing=()
for pair in chromium:chromium Orthanc:orthanc dcm2pnm:dcmtk dciodvfy:dicom3tools; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair##*:}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "${1:-}" != --install ]; then
  echo "Not installed: ${missing[*]}. The tests that need them are skipped; make peers installs them (Debian, as root)." >&2
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "Cannot install ${missing[*]}: that needs apt-get and root." >&2
  exit 1
fi
[[ " ${missing[*]} " == *" orthanc "* ]] && missing+=(orthanc-dicomweb)
echo "Installing system packages with apt-get: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}"
