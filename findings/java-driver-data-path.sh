#!/usr/bin/env bash
# The Java driver for Vault puts "data" into the path of every read and write, whatever engine is mounted there.
#
# Expected: a client asks for the path that it is given, or finds out which engine that is of; auth, leases and sys, which
# have calls of their own, are as they are.
# Seen: as Vault.create(config) makes it, reading influxdb/creds/app asks for influxdb/data/creds/app, and a write goes to
# such a path, too. With the engine's version set to 1, which is not one of this engine's, both ask for what was written.
# Where: vault-java-driver 6.2.0 of io.github.jopenlibs, the maintained fork: api/Logical.java, adjustPathForReadOrWrite;
# VaultConfig's global engine version is 2, that of the key-value store, for all paths that secretsEnginePathMap does not name.
# Why it matters: every engine but the key-value store answers 404 or, where a role has such a name, the wrong thing; the
# error speaks of a path that the program does not hold.
# What we do: the recipe in docs/recipes.md says engineVersion(1), and a test runs it.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat >pom.xml <<'XML'
<project><modelVersion>4.0.0</modelVersion><groupId>finding</groupId><artifactId>finding</artifactId><version>1</version>
<dependencies><dependency><groupId>io.github.jopenlibs</groupId><artifactId>vault-java-driver</artifactId><version>6.2.0</version></dependency></dependencies>
</project>
XML
mvn -q -B dependency:copy-dependencies -DoutputDirectory=jars >mvn.log 2>&1 || { cat mvn.log; exit 1; }
ls jars

cat >Paths.java <<'JAVA'
import com.sun.net.httpserver.HttpServer;
import io.github.jopenlibs.vault.Vault;
import io.github.jopenlibs.vault.VaultConfig;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Map;

public class Paths {
    public static void main(String[] args) throws Exception {
        var server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", exchange -> {
            System.out.println("  " + exchange.getRequestMethod() + " " + exchange.getRequestURI());
            exchange.getRequestBody().readAllBytes();
            var answer = "{\"data\":{}}".getBytes();
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
        var config = new VaultConfig().address("http://127.0.0.1:" + server.getAddress().getPort()).token("example");
        System.out.println("as it comes:");
        use(Vault.create(config.build()));
        System.out.println("engineVersion(1):");
        use(Vault.create(config.engineVersion(1).build()));
        server.stop(0);
    }

    static void use(Vault vault) throws Exception {
        vault.logical().read("influxdb/creds/app");
        vault.logical().write("influxdb/roles/app", Map.of("read_buckets", "metrics"));
    }
}
JAVA
java -cp 'jars/*' Paths.java | tee seen

diff seen - <<'END'
as it comes:
  GET /v1/influxdb/data/creds/app
  POST /v1/influxdb/data/roles/app
engineVersion(1):
  GET /v1/influxdb/creds/app
  POST /v1/influxdb/roles/app
END
echo "As stated."
