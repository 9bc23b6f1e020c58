#!/usr/bin/env bash
# What a PostgreSQL node does to itself. Runs in its pod, as the user postgres.
#
#   node.sh prepare           before the server starts: make, clone or rewind the data, settle whom to follow
#   node.sh serve             prepare, then be the server
#   node.sh ready | alive     for probes
#   node.sh role              primary, standby, or failure
#   node.sh detach            stop receiving: from here on this standby confirms no commit of its old primary
#   node.sh position          how far this standby has received, in bytes
#   node.sh promote           become the primary
#   node.sh follow NODE       receive from NODE
#
# From the environment: NODE (own name), NODES (name=host:port of all), PGDATA, PGPORT, SOCKETS, CONFIG and TOPOLOGY
# (folders), REPLICATION_PASSWORD; for the very first start ICEWRIGHT_PASSWORD and BACKUP_PASSWORD.
set -euo pipefail
: "${NODE:?}" "${NODES:?}" "${PGDATA:?}" "${PGPORT:?}" "${SOCKETS:?}" "${CONFIG:?}" "${TOPOLOGY:?}"
PAUSE=${PAUSE:-2}
# Replay further behind than this is too old to answer reads.
MOST_LAG=$((256 * 1024 * 1024))

say() { echo "$NODE: $*" >&2; }
slot_of() { echo "${1//-/_}"; }
others() { for entry in $NODES; do [ "${entry%%=*}" = "$NODE" ] || echo "${entry%%=*}"; done; }
address() { # NODE
  for entry in $NODES; do
    [ "${entry%%=*}" != "$1" ] || { local at=${entry#*=}; echo "host=${at%:*} port=${at##*:}"; return; }
  done
  say "there is no node $1 in NODES"; return 1
}
conninfo() { # NODE [own name]
  echo "$(address "$1") user=replicator connect_timeout=3 application_name=${2:-$NODE} passfile=$PASSFILE"
}
PASSFILE=$(dirname "$PGDATA")/passfile

local_sql() { psql -h "$SOCKETS" -p "$PGPORT" -U postgres -d postgres -XAtq -v ON_ERROR_STOP=1 "$@"; }
sql_on() { PGPASSFILE=$PASSFILE psql "$(conninfo "$1") dbname=postgres" -XAtq -v ON_ERROR_STOP=1 -c "$2"; }

# The primary among the other nodes, as they say themselves: the truth, where the topology is only an intention. Of two (one
# was cut off when the other was promoted) the one with the later timeline.
leader() {
  for node in $(others); do
    sql_on "$node" "select (pg_control_checkpoint()).timeline_id || ' $node' where not pg_is_in_recovery()" 2>/dev/null || true
  done | sort -n | tail -n 1 | cut -d' ' -f2
}

write_passfile() {
  local escaped=${REPLICATION_PASSWORD//\\/\\\\}
  (umask 077; printf '*:*:*:replicator:%s\n' "${escaped//:/\\:}" >"$PASSFILE")
}

clear_stale_pid() {
  [ -e "$PGDATA/postmaster.pid" ] || return 0
  local pid; pid=$(head -n1 "$PGDATA/postmaster.pid")
  if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = postgres ]; then say "a server (process $pid) still uses $PGDATA"; exit 1; fi
  rm -f "$PGDATA/postmaster.pid"
}

# The very first start: an empty cluster with its roles. Nobody can confirm a commit yet, so none is waited for.
create() {
  say "making a new cluster"
  rm -rf "$PGDATA.new"
  initdb -D "$PGDATA.new" -U postgres --data-checksums --encoding=UTF8 --locale=C.UTF-8 >/dev/null
  pg_ctl -D "$PGDATA.new" -w -s -l /dev/null start -o "-c listen_addresses='' -c unix_socket_directories=$SOCKETS \
    -c port=$PGPORT -c password_encryption=scram-sha-256 -c hba_file=$CONFIG/pg_hba.conf"
  local_sql <<'SQL'
\getenv replication REPLICATION_PASSWORD
\getenv icewright ICEWRIGHT_PASSWORD
\getenv backup BACKUP_PASSWORD
create role replicator login replication password :'replication';
-- What pg_rewind reads from the primary.
grant execute on function pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), pg_read_binary_file(text),
  pg_read_binary_file(text, bigint, bigint, boolean) to replicator;
create role icewright login password :'icewright';
create database iceberg owner icewright;
create role backup login createdb password :'backup' in role icewright, pg_read_all_data;
SQL
  pg_ctl -D "$PGDATA.new" -w -s -m fast stop
  mv "$PGDATA.new" "$PGDATA"
}

ensure_slot() { # on the leader, for this node
  sql_on "$1" "select pg_create_physical_replication_slot('$(slot_of "$NODE")', true) where not exists
    (select from pg_replication_slots where slot_name = '$(slot_of "$NODE")')" >/dev/null
}

clone() { # leader
  say "cloning $1"
  rm -rf "$PGDATA.new"
  ensure_slot "$1"
  # Under another name: who is still copying must not look like a standby that confirms commits.
  pg_basebackup -d "$(conninfo "$1" "$NODE-clone")" -D "$PGDATA.new" -X stream -S "$(slot_of "$NODE")" -c fast
  rm -rf "$PGDATA"
  mv "$PGDATA.new" "$PGDATA"
}

same_cluster() { # leader
  local ours theirs
  ours=$(pg_controldata -D "$PGDATA" | sed -n 's/^Database system identifier: *//p')
  theirs=$(sql_on "$1" 'select system_identifier from pg_control_system()')
  [ "$ours" = "$theirs" ] || { say "its data is of cluster $ours, $1 is of cluster $theirs: nothing is touched"; exit 1; }
}

# Back to where this node's history and the leader's part, then on with the leader's. What can't be rewound is cloned.
rewind() { # leader
  say "was a primary, $1 is one now: rewinding"
  touch "$PGDATA.rewinding"
  if pg_rewind -D "$PGDATA" --source-server="$(conninfo "$1") dbname=postgres" \
    --config-file="$CONFIG/postgresql.conf" >&2; then
    # Slots of its time as a primary would hold back log for ever.
    rm -rf "$PGDATA"/pg_replslot/*
  else
    say "could not be rewound"
    clone "$1"
  fi
  rm -f "$PGDATA.rewinding"
}

follow_offline() { # leader
  sed -i '/^primary_conninfo/d; /^primary_slot_name/d' "$PGDATA/postgresql.auto.conf"
  printf "primary_conninfo = '%s'\nprimary_slot_name = '%s'\n" "$(conninfo "$1")" "$(slot_of "$NODE")" \
    >>"$PGDATA/postgresql.auto.conf"
  touch "$PGDATA/standby.signal"
  chmod 0700 "$PGDATA"
}

as_standby() { # leader
  if [ ! -e "$PGDATA/PG_VERSION" ]; then
    clone "$1"
  else
    same_cluster "$1"
    local slot; slot=$(sql_on "$1" "select wal_status from pg_replication_slots where slot_name = '$(slot_of "$NODE")'")
    if [ "$slot" = lost ] || [ -e "$PGDATA.rewinding" ]; then
      sql_on "$1" "select pg_drop_replication_slot('$(slot_of "$NODE")') where exists
        (select from pg_replication_slots where slot_name = '$(slot_of "$NODE")')" >/dev/null
      clone "$1"
      rm -f "$PGDATA.rewinding"
    elif [ ! -e "$PGDATA/standby.signal" ]; then
      rewind "$1"
    fi
  fi
  ensure_slot "$1"
  follow_offline "$1"
  say "follows $1"
}

prepare() {
  write_passfile
  if [ -e "$PGDATA/PG_VERSION" ]; then clear_stale_pid; fi
  local said='' why leader intended
  while :; do
    # Whoever is a primary already is followed, whatever the topology says: there is never a second one.
    leader=$(leader)
    if [ -n "$leader" ]; then as_standby "$leader"; return; fi
    intended=$(cat "$TOPOLOGY/primary")
    if [ "$intended" = none ]; then
      why="waits: a failover is under way"
    elif [ -e "$PGDATA/standby.signal" ] && [ ! -e "$PGDATA.rewinding" ]; then
      # No primary far and wide: it answers reads, and can be asked and promoted.
      say "starts as the standby that it was"; return
    elif [ "$intended" = "$NODE" ] && [ ! -e "$PGDATA.rewinding" ]; then
      if [ ! -e "$PGDATA/PG_VERSION" ]; then
        for node in $(others); do
          # A node that answers has data. An empty primary beside it would be the loss of everything.
          if sql_on "$node" 'select 1' >/dev/null 2>&1; then
            say "has no data, but $node has: promote that with failover.sh, or restore"; exit 1
          fi
        done
        create
      fi
      return
    else
      why="waits for the primary, $intended"
    fi
    [ "$why" = "$said" ] || { say "$why"; said=$why; }
    sleep "$PAUSE"
  done
}

options() {
  printf '%s\n' -D "$PGDATA" -c "config_file=$CONFIG/postgresql.conf" -c "hba_file=$CONFIG/pg_hba.conf" \
    -c "ident_file=$PGDATA/pg_ident.conf" -c "unix_socket_directories=$SOCKETS" -c "port=$PGPORT" -c "cluster_name=$NODE"
}

receiving() { local_sql -c 'select count(*) from pg_stat_wal_receiver'; }

case ${1:-} in
  prepare) prepare ;;
  serve)
    # A container that crashed is started again without its init container: whom to follow may have changed since.
    prepare
    mapfile -t options < <(options)
    # shellcheck disable=SC2086 # POSTGRES_OPTIONS is a list
    exec postgres "${options[@]}" ${POSTGRES_OPTIONS:-}
    ;;
  alive) pg_isready -q -h "$SOCKETS" -p "$PGPORT" -t 5 || [ $? = 1 ] ;;
  ready)
    [ "$(local_sql -c "select not pg_is_in_recovery() or coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), \
      pg_last_wal_replay_lsn()), 0) < $MOST_LAG")" = t ]
    ;;
  role) local_sql -c "select case when pg_is_in_recovery() then 'standby' else 'primary' end" ;;
  detach)
    local_sql -c "alter system set primary_conninfo = ''" -c 'select pg_reload_conf()' >/dev/null
    for _ in $(seq 100); do [ "$(receiving)" != 0 ] || exit 0; sleep 0.1; done
    say "still receives after 10 s"; exit 1
    ;;
  position)
    local_sql -c "select greatest(coalesce(pg_last_wal_receive_lsn(), '0/0'), pg_last_wal_replay_lsn()) - '0/0'"
    ;;
  promote)
    [ "$(local_sql -c 'select pg_promote(true, 60)')" = t ] || { say "was not promoted within 60 s"; exit 1; }
    # Without a checkpoint on the new timeline, pg_rewind on the old primary would see two equal histories.
    local_sql -c 'checkpoint' -c 'alter system reset primary_conninfo' -c 'alter system reset primary_slot_name'
    for node in $(others); do
      local_sql -c "select pg_create_physical_replication_slot('$(slot_of "$node")', true) where not exists
        (select from pg_replication_slots where slot_name = '$(slot_of "$node")')" >/dev/null
    done
    ;;
  follow)
    local_sql -c "alter system set primary_conninfo = '$(conninfo "${2:?whom?}")'" \
      -c "alter system set primary_slot_name = '$(slot_of "$NODE")'" -c 'select pg_reload_conf()' >/dev/null
    ;;
  *) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
