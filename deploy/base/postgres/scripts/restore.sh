#!/usr/bin/env bash
# Brings one database of a backup back under another name; whoever runs it looks at it and swaps the names (runbook).
# From the environment: PGHOST, PGPORT, PGUSER, PGPASSWORD; BACKUPS (folder), BACKUP (a name, or latest), DATABASE, INTO.
set -euo pipefail
: "${BACKUPS:?}" "${BACKUP:?}" "${DATABASE:?}" "${INTO:?}"
if [ "$BACKUP" = latest ]; then
  BACKUP=$(find "$BACKUPS" -mindepth 1 -maxdepth 1 -type d -name '2*Z' -printf '%f\n' | sort | tail -n 1)
  [ -n "$BACKUP" ] || { echo "there is no backup in $BACKUPS" >&2; exit 1; }
fi
dump="$BACKUPS/$BACKUP/$DATABASE.dump"
[ -e "$dump" ] || { echo "backup $BACKUP has no database $DATABASE" >&2; exit 1; }
(cd "$BACKUPS/$BACKUP" && sha256sum --quiet -c SHA256SUMS)
# An existing database is never written over: this fails when there is one.
psql -d postgres -XAtq -v ON_ERROR_STOP=1 -c "create database \"$INTO\" owner icewright"
pg_restore --exit-on-error --no-owner --role=icewright -d "$INTO" "$dump"
echo "backup $BACKUP: $DATABASE is back as $INTO"
