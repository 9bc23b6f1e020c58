#!/usr/bin/env bash
# Iceberg's own REST catalog (the reference implementation's test fixture), for tests.
#
#   rest-fixture.sh fetch                  downloads it (Maven Central) into the cache folder
#   rest-fixture.sh serve PORT FOLDER      serves it on 127.0.0.1:PORT in the foreground; warehouse and database in FOLDER
#
# The cache folder is $ICEWRIGHT_CACHE, by default ~/.cache/icewright.
set -euo pipefail
cache=${ICEWRIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/icewright}
version=1.10.0
lib="$cache/rest-fixture-$version"

fetch() {
  [ ! -e "$lib/complete" ] || return 0
  rm -rf "$lib"; mkdir -p "$lib"
  cat > "$lib/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>icewright</groupId><artifactId>rest-fixture</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.iceberg</groupId><artifactId>iceberg-open-api</artifactId><version>$version</version><classifier>test-fixtures</classifier></dependency>
    <dependency><groupId>org.apache.iceberg</groupId><artifactId>iceberg-core</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.iceberg</groupId><artifactId>iceberg-core</artifactId><version>$version</version><classifier>tests</classifier></dependency>
    <dependency><groupId>org.xerial</groupId><artifactId>sqlite-jdbc</artifactId><version>3.49.1.0</version></dependency>
    <dependency><groupId>org.eclipse.jetty</groupId><artifactId>jetty-server</artifactId><version>11.0.25</version></dependency>
    <dependency><groupId>org.eclipse.jetty</groupId><artifactId>jetty-servlet</artifactId><version>11.0.25</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-common</artifactId><version>3.4.1</version>
      <exclusions>
        <exclusion><groupId>org.eclipse.jetty</groupId><artifactId>*</artifactId></exclusion>
        <exclusion><groupId>com.sun.jersey</groupId><artifactId>*</artifactId></exclusion>
      </exclusions>
    </dependency>
  </dependencies>
</project>
POM
  (cd "$lib" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=.)
  touch "$lib/complete"
}

case "${1:-}" in
  fetch) fetch ;;
  serve)
    fetch
    mkdir -p "$3"
    export CATALOG_REST_PORT=$2 CATALOG_WAREHOUSE="file://$3/warehouse" CATALOG_URI="jdbc:sqlite:$3/rest.db?busy_timeout=20000"
    # Two connections to SQLite get into each other's way: a busy one answers 500 from then on.
    export CATALOG_CLIENTS=1 CATALOG_CATALOG__IMPL=org.apache.iceberg.jdbc.JdbcCatalog CATALOG_JDBC_USER=user CATALOG_JDBC_PASSWORD=password
    exec java -Xmx256m -cp "$lib/*" org.apache.iceberg.rest.RESTCatalogServer
    ;;
  *) sed -n '2,8p' "$0" >&2; exit 2 ;;
esac
