#!/usr/bin/env bash
# Spark with Iceberg's reference implementation, for tests: `spark.sh fetch` installs PySpark (PyPI) and the Iceberg runtime
# (Maven Central) below the cache folder, $ICEWRIGHT_CACHE or ~/.cache/icewright.
set -euo pipefail
cache=${ICEWRIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/icewright}
spark="$cache/spark-3.5-iceberg-1.10.0"
[ "${1:-}" = fetch ] || { sed -n '2,4p' "$0" >&2; exit 2; }
[ ! -e "$spark/complete" ] || exit 0
rm -rf "$spark"; mkdir -p "$spark"
python3 -m venv "$spark/venv"
"$spark/venv/bin/pip" -q install --disable-pip-version-check 'pyspark==3.5.*'
cat > "$spark/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>icewright</groupId><artifactId>spark</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.iceberg</groupId><artifactId>iceberg-spark-runtime-3.5_2.12</artifactId><version>1.10.0</version></dependency>
    <dependency><groupId>org.xerial</groupId><artifactId>sqlite-jdbc</artifactId><version>3.49.1.0</version></dependency>
  </dependencies>
</project>
POM
(cd "$spark" && mvn -q -B dependency:copy-dependencies -DincludeArtifactIds=iceberg-spark-runtime-3.5_2.12,sqlite-jdbc -DoutputDirectory=jars)
touch "$spark/complete"
