#!/bin/sh
# Run once by the image of Postgres, when the volume is new: our role, which is no superuser, and its database. The superuser
# has no password afterwards: it comes in by the socket inside of the container alone.
set -eu
psql --username="$POSTGRES_USER" --dbname=postgres --set=ON_ERROR_STOP=1 --set=password="$POSTGRES_PASSWORD" <<'SQL'
CREATE ROLE groundswell LOGIN PASSWORD :'password';
CREATE DATABASE groundswell OWNER groundswell;
ALTER ROLE postgres PASSWORD NULL;
SQL
