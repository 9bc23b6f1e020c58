#!/usr/bin/env bash
# Dumps every database, checks that each dump can be read, then lets the oldest go.
# From the environment: PGHOST, PGPORT, PGUSER, PGPASSWORD; BACKUPS (folder), KEEP (how many).
set -euo pipefail
: "${BACKUPS:?}" "${KEEP:?}"
name=$(date -u +%Y%m%dT%H%M%SZ)
work="$BACKUPS/.$name.partial"
rm -rf "$BACKUPS"/.*.partial
mkdir -p "$work"
pg_dumpall --globals-only --no-role-passwords -l postgres >"$work/globals.sql"
databases=$(psql -d postgres -XAtqc "select datname from pg_database where not datistemplate and datname <> 'postgres'")
for database in $databases; do
  pg_dump -Fc -d "$database" -f "$work/$database.dump"
  pg_restore --list "$work/$database.dump" >/dev/null
done
(cd "$work" && sha256sum -- * >SHA256SUMS)
# Only a complete backup gets its name.
mv "$work" "$BACKUPS/$name"
find "$BACKUPS" -mindepth 1 -maxdepth 1 -type d -name '2*Z' | sort -r | tail -n "+$((KEEP + 1))" | xargs -r rm -rf
echo "backup $name: $(echo "$databases" | tr '\n' ' ')"
