#!/usr/bin/env bash
# Run by PostgreSQL's image when it makes the cluster: gives the role of the server a password. The migration finds the role and
# keeps it.
set -euo pipefail
psql --quiet --set ON_ERROR_STOP=1 --set password="$HEDDLE_SERVER_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
create role heddle_server login noinherit password :'password';
SQL
