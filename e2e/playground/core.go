package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// onCore says that the story is told on InfluxDB 3 Core, because INFLUXDB3_BIN names one.
func onCore() bool { return lab.Influx3Binary() != "" }

func (s *story) startCore(ctx context.Context) (err error) {
	s.step("Start InfluxDB 3 Core and make its operator token.")
	if s.core, err = s.lab.StartInflux3(ctx, lab.Influx3Options{}); err != nil {
		return err
	}
	s.command("curl -X POST %s/api/v3/configure/token/admin", s.core.URL)
	s.operatorTokenFile = filepath.Join(s.lab.Dir(), "influxdb-operator-token")
	s.result("it runs at %s; its operator token lies in %s", s.core.URL, s.operatorTokenFile)
	return os.WriteFile(s.operatorTokenFile, []byte(s.core.Operator+"\n"), 0o600)
}

func (s *story) configureCore(ctx context.Context) error {
	s.step("Tell the engine where InfluxDB is and which token to mint others with.")
	s.command("%s write %s/config url=%s token=@%s", s.host.command, mount, s.core.URL, s.operatorTokenFile)
	written, err := s.client.Logical().WriteWithContext(ctx, mount+"/config", map[string]any{"url": s.core.URL, "token": s.core.Operator})
	if err != nil {
		return err
	}
	s.warnings(written)
	config, err := s.client.Logical().ReadWithContext(ctx, mount+"/config")
	if err != nil {
		return err
	}
	s.result("the connection works and is stored; the product is %v", config.Data["product"])
	return nil
}

func (s *story) writeCoreRole(ctx context.Context) error {
	s.step("Define the role %s: its tokens are admin tokens, as all of Core are, and live for 5 minutes.", role)
	s.command("%s write %s/roles/%s token_type=admin allow_privileged=true ttl=5m max_ttl=1h", s.host.command, mount, role)
	written, err := s.client.Logical().WriteWithContext(ctx, mount+"/roles/"+role, map[string]any{
		"token_type": "admin", "allow_privileged": true, "ttl": "5m", "max_ttl": "1h",
	})
	if err != nil {
		return err
	}
	s.warnings(written)
	s.result("the role is stored. A lease on Core contains nobody: whoever holds the token can do everything, also make tokens")
	s.result("that outlive it. What it gives is a short life, a name for each token, an audit log, and a way to revoke it")
	return nil
}

// useCoreToken is the life of one token: minted, used, revoked, refused.
func (s *story) useCoreToken(ctx context.Context) error {
	token, err := s.mint(ctx)
	if err != nil {
		return err
	}
	s.step("Write a point with that token.")
	if err := s.writeToCore(ctx, token, http.StatusNoContent); err != nil {
		return err
	}
	s.result("204: written")
	if err := s.revoke(ctx, token); err != nil {
		return err
	}
	s.step("Try the token once more.")
	if err := s.writeToCore(ctx, token, http.StatusUnauthorized); err != nil {
		return err
	}
	s.result("401: InfluxDB does not know it any more")
	return nil
}

// writeToCore writes a point, which has to be answered so.
func (s *story) writeToCore(ctx context.Context, token minted, want int) error {
	s.command(`curl -H "Authorization: Bearer $TOKEN" "%s/api/v3/write_lp?db=%s" --data 'room,name=kitchen temperature=21.5'`, token.url, bucket)
	status, _, err := s.core.Call(ctx, token.token, http.MethodPost, "/api/v3/write_lp?db="+bucket, "room,name=kitchen temperature=21.5")
	if err == nil && status != want {
		err = fmt.Errorf("a write with the token is answered %d, and not %d", status, want)
	}
	return err
}
