#!/usr/bin/env bash
# Makes what a server needs once and no package can bring: the key that seals, and a certificate for the address that proxies dial,
# by an authority of its own. What is there already stays.
#
#   deploy/prepare.sh DIR HOST     HOST: the name or address that proxies reach the server by
#
# DIR/sealing.key   keep a copy where no backup of the database is: without it what is sealed is lost
# DIR/xds-ca.pem    what proxies verify the server with; it stands in every bootstrap
# DIR/xds-ca.key    signs the next certificate: belongs to no server, take it away
# DIR/xds.pem, DIR/xds.key
set -euo pipefail

if [[ $# -ne 2 ]]; then
  sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
directory=$1 host=$2
umask 077
mkdir -p "$directory"

if [[ ! -e $directory/sealing.key ]]; then
  openssl rand -hex 32 >"$directory/sealing.key"
fi
if [[ ! -e $directory/xds-ca.pem ]]; then
  openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 3650 \
    -keyout "$directory/xds-ca.key" -out "$directory/xds-ca.pem" -subj "/CN=Heddle xDS" \
    -addext basicConstraints=critical,CA:true,pathlen:0 -addext keyUsage=critical,keyCertSign 2>/dev/null
fi
if [[ ! -e $directory/xds.pem ]]; then
  case $host in
    *[!0-9.]*) name=DNS:$host ;;
    *) name=IP:$host ;;
  esac
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 \
    -keyout "$directory/xds.key" -out "$directory/xds.csr" -subj "/CN=$host" 2>/dev/null
  openssl x509 -req -in "$directory/xds.csr" -CA "$directory/xds-ca.pem" -CAkey "$directory/xds-ca.key" -CAcreateserial \
    -days 397 -sha256 -out "$directory/xds.pem" -extfile <(
      printf 'subjectAltName=%s\nbasicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n' "$name"
    ) 2>/dev/null
  rm -f "$directory/xds.csr" "$directory/xds-ca.srl"
fi
printf 'in %s: sealing.key, xds.pem and xds.key for %s, xds-ca.pem\n' "$directory" "$host"
