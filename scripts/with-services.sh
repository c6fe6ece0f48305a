#!/usr/bin/env bash
# with-services.sh CMD... runs CMD with a private PostgreSQL, a private Redis and a
# Chromium at hand, and stops what it started. What is missing is installed
# through the system's package manager. CMD finds them in
#   GATEKEEPER_TEST_POSTGRES  postgres://… with the right to create databases
#   GATEKEEPER_TEST_REDIS     redis://…
#   GATEKEEPER_TEST_CHROMIUM  path of the browser
# Set any of them yourself to use one of your own.
set -euo pipefail

say() { printf 'services: %s\n' "$*" >&2; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

install_packages() { # Debian names, Fedora names, Homebrew names, Alpine names, Arch names
  say "installing: $1"
  if command -v apt-get >/dev/null; then
    as_root apt-get update -qq >/dev/null
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $1 >/dev/null
  elif command -v dnf >/dev/null; then
    # shellcheck disable=SC2086
    as_root dnf install -y -q $2 >/dev/null
  elif command -v brew >/dev/null; then
    # shellcheck disable=SC2086
    brew install -q $3
  elif command -v apk >/dev/null; then
    # shellcheck disable=SC2086
    as_root apk add -q $4
  elif command -v pacman >/dev/null; then
    # shellcheck disable=SC2086
    as_root pacman -S --noconfirm --needed $5
  else
    say "no known package manager; please install: $1"
    exit 1
  fi
}

find_pg() { # the newest bin directory that holds initdb
  local d
  for d in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin /usr/libexec/postgresql*  2>/dev/null | sort -rV); do
    [ -x "$d/initdb" ] && { echo "$d"; return; }
  done
  command -v initdb >/dev/null && dirname "$(command -v initdb)"
  return 0
}

find_chromium() {
  local c
  for c in chromium chromium-browser google-chrome google-chrome-stable "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" "/Applications/Chromium.app/Contents/MacOS/Chromium"; do
    command -v "$c" >/dev/null && { command -v "$c"; return; }
  done
  return 0
}

free_port() { # a port the kernel had free a moment ago
  go run ./scripts/freeport
}

work=$(mktemp -d "${TMPDIR:-/tmp}/gatekeeper-services.XXXXXX")
chmod 711 "$work"
pg_started='' redis_pid=''
cleanup() {
  status=$?
  trap - EXIT INT TERM
  [ -n "$pg_started" ] && pg "$pgbin/pg_ctl" -D "$work/pg/data" -m immediate stop >/dev/null 2>&1
  [ -n "$redis_pid" ] && kill "$redis_pid" 2>/dev/null && wait "$redis_pid" 2>/dev/null
  rm -rf "$work"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

pg() { # PostgreSQL refuses to run as root
  if [ "$(id -u)" = 0 ]; then
    (cd "$work/pg" && runuser -u postgres -- "$@")
  else
    "$@"
  fi
}

if [ -z "${GATEKEEPER_TEST_POSTGRES:-}" ]; then
  pgbin=$(find_pg)
  if [ -z "$pgbin" ]; then
    install_packages postgresql postgresql-server postgresql "postgresql su-exec" postgresql
    pgbin=$(find_pg)
  fi
  mkdir "$work/pg"
  [ "$(id -u)" = 0 ] && chown postgres "$work/pg"
  pg "$pgbin/initdb" -D "$work/pg/data" -A trust -U postgres -E UTF8 --locale=C -N >"$work/initdb.log"
  port=$(free_port)
  pg "$pgbin/pg_ctl" -D "$work/pg/data" -l "$work/pg/log" -w -o "-p $port -k $work/pg -c listen_addresses=127.0.0.1 -c max_connections=300 -c shared_preload_libraries=pg_stat_statements" start >/dev/null ||
    { cat "$work/pg/log" >&2; exit 1; }
  pg_started=yes
  export GATEKEEPER_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable"
  say "PostgreSQL on port $port"
fi

if [ -z "${GATEKEEPER_TEST_REDIS:-}" ]; then
  command -v redis-server >/dev/null || install_packages redis-server redis redis redis redis
  port=$(free_port)
  redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$work" --logfile "$work/redis.log" &
  redis_pid=$!
  until redis-cli -p "$port" ping >/dev/null 2>&1; do kill -0 "$redis_pid" || { cat "$work/redis.log" >&2; exit 1; }; done
  export GATEKEEPER_TEST_REDIS="redis://127.0.0.1:$port/0"
  say "Redis on port $port"
fi

if [ -z "${GATEKEEPER_TEST_CHROMIUM:-}" ]; then
  browser=$(find_chromium)
  if [ -z "$browser" ]; then
    install_packages chromium chromium "--cask chromium" chromium chromium
    browser=$(find_chromium)
  fi
  export GATEKEEPER_TEST_CHROMIUM="$browser"
fi

"$@"
