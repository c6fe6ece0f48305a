#!/usr/bin/env bash
# vuln.sh GOVULNCHECK checks the code against the Go vulnerability database. Where
# the online database cannot be reached, a snapshot named by
# GATEKEEPER_VULNDB (a directory or a .tar.gz of one) is used; without either it
# says so and passes, because an unreachable database is no finding.
set -euo pipefail
tool=$1
args=(./...)
if [ -z "${GATEKEEPER_VULNDB:-}" ] && [ -f ../shared/vulndb.tar.gz ]; then
  GATEKEEPER_VULNDB=../shared/vulndb.tar.gz
fi
if [ -n "${GATEKEEPER_VULNDB:-}" ]; then
  db=$GATEKEEPER_VULNDB
  if [ -f "$db" ]; then
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
    tar -xzf "$db" -C "$dir"
    db=$(dirname "$(find "$dir" -type d -name index -print -quit)")
  fi
  "$tool" -db "file://$(cd "$db" && pwd)" "${args[@]}"
  exit
fi
log=$(mktemp)
if "$tool" "${args[@]}" >"$log" 2>&1; then
  cat "$log"
elif grep -qE 'fetching vulnerabilities|dial tcp|no such host|403 Forbidden|connection refused' "$log"; then
  echo "vuln: the vulnerability database cannot be reached; not checked" >&2
else
  cat "$log"
  exit 1
fi
