#!/usr/bin/env bash
# with-services.sh CMD... runs CMD with a private PostgreSQL, a private Redis and a
# Chromium at hand, and stops what it started. What is missing is installed
# through the system's package manager, a C compiler for -race included; the
# services that come with those packages are not started. CMD finds them in
#   GATEKEEPER_TEST_POSTGRES  postgres://… with the right to create databases
#   GATEKEEPER_TEST_REDIS     redis://…
#   GATEKEEPER_TEST_CHROMIUM  path of the browser
# Set any of them yourself to use one of your own.
set -euo pipefail

say() { printf 'services: %s\n' "$*" >&2; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

policy=/usr/sbin/policy-rc.d policy_made=''
hold_daemons() { # Debian starts what it installs; the tests start their own
  [ -e "$policy" ] && return
  policy_made=yes
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
}
free_daemons() {
  [ -z "$policy_made" ] || as_root rm -f "$policy"
  policy_made=''
}

install_packages() { # Debian names, Fedora names, Homebrew names, Alpine names, Arch names
  say "installing: $1"
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null && ! command -v brew >/dev/null; then
    say "only root may install packages here, and there is no sudo; please install: $1"
    exit 1
  fi
  if command -v apt-get >/dev/null; then
    as_root apt-get update -qq >/dev/null
    hold_daemons
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $1 >/dev/null
    free_daemons
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
  set +e # one thing that does not stop must not keep the others
  trap - EXIT INT TERM
  [ -n "$pg_started" ] && pg "$pgbin/pg_ctl" -D "$work/pg/data" -m immediate stop >/dev/null 2>&1
  [ -n "$redis_pid" ] && kill "$redis_pid" 2>/dev/null && wait "$redis_pid" 2>/dev/null
  free_daemons
  rm -rf "$work"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

pg() { # PostgreSQL refuses to run as root
  if [ "$(id -u)" != 0 ]; then
    "$@"
  elif command -v runuser >/dev/null; then
    (cd "$work/pg" && runuser -u postgres -- "$@")
  else
    (cd "$work/pg" && su-exec postgres "$@")
  fi
}

case " $* " in
*" -race "*)
  cc=$(go env CC)
  command -v "${cc%% *}" >/dev/null || install_packages "gcc libc6-dev" "gcc glibc-devel" gcc "gcc musl-dev" gcc
  ;;
esac

if [ -z "${GATEKEEPER_TEST_POSTGRES:-}" ]; then
  pgbin=$(find_pg)
  if [ -z "$pgbin" ]; then
    install_packages postgresql "postgresql-server postgresql-contrib" postgresql "postgresql postgresql-contrib su-exec" postgresql
    pgbin=$(find_pg)
    [ -n "$pgbin" ] || { say "PostgreSQL was installed, but its initdb is nowhere to be found"; exit 1; }
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

missing() { # whether none of these programs is installed, services' folders included
  local p
  for p in "$@"; do
    PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$p" >/dev/null && return 1
  done
  return 0
}

# The proxies whose recipes are in deploy/proxy; the tests start them themselves.
want=()
missing nginx && want+=(nginx)
missing caddy && want+=(caddy)
missing haproxy && want+=(haproxy)
[ "${#want[@]}" = 0 ] || install_packages "${want[*]}" "${want[*]}" "${want[*]}" "${want[*]}" "${want[*]}"
missing pgbouncer && install_packages pgbouncer pgbouncer pgbouncer pgbouncer pgbouncer # a pooler the tests go through
missing apache2 httpd && install_packages apache2 "httpd mod_ssl mod_http2" httpd "apache2 apache2-ssl apache2-http2 apache2-proxy" apache

if [ -z "${GATEKEEPER_TEST_CHROMIUM:-}" ]; then
  browser=$(find_chromium)
  if [ -z "$browser" ]; then
    install_packages chromium chromium "--cask chromium" chromium chromium || say "there is no package chromium"
    browser=$(find_chromium)
    [ -n "$browser" ] || { say "please install Chromium or Chrome, or set GATEKEEPER_TEST_CHROMIUM to one"; exit 1; }
  fi
  export GATEKEEPER_TEST_CHROMIUM="$browser"
fi

"$@"
