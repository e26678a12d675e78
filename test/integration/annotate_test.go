package integration

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/internal/testenv"
)

// TestADeployIsMarkedOnce runs the command twice, as a pipeline does that is started again, and finds one event in the store.
func TestADeployIsMarkedOnce(t *testing.T) {
	t.Parallel()
	engine := startClickHouse(t)
	dir, addr := t.TempDir(), testenv.Address(t)
	collector := start(t, nil, binary(t), "--config", configFile(t, fmt.Sprintf(pushConfig, dir, addr, engine.dsn())))
	collector.listening(addr)
	at := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	for range 2 {
		out, err := exec.Command(binary(t), "annotate", "deploy", "--service", "chat", "--version", "1.14.2", "--time", at,
			"--endpoint", "http://"+addr+"/v1/events", "--timeout", "60s").CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	const sql = "SELECT count(), any(service), any(attributes['websocket.deploy.version']) FROM events WHERE event = 'websocket.deploy'"
	eventually(t, 30*time.Second, "the deploy stored once", func() (bool, string) {
		got, err := query(engine.addr, sql)
		return got == "1\tchat\t1.14.2", fmt.Sprintf("got %q, %v", got, err)
	})
}
