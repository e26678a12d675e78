package alerts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sockeye-project/sockeye/alerts"
	"github.com/sockeye-project/sockeye/internal/testenv"
	"github.com/sockeye-project/sockeye/slo"
)

func TestThePageOfAlertsIsTrue(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "alerts.md"))
	require.NoError(t, err)
	page := string(data)
	number := func(v float64) string {
		if v == 0 {
			return ""
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	for name, limit := range alerts.DefaultThresholds() {
		row := regexp.MustCompile("(?m)^\\| `" + name + "` \\|.*$").FindString(page)
		require.NotEmpty(t, row, name)
		require.Contains(t, row, string(limit.Severity), name)
		if _, symptom := risings[name]; !symptom {
			continue
		}
		cells := strings.Split(strings.Trim(row, "|"), "|")
		require.Len(t, cells, 7, name)
		for i := range cells {
			cells[i], _, _ = strings.Cut(strings.TrimSpace(cells[i]), " ")
		}
		require.Equal(t, []string{number(limit.PerSecond), number(limit.Times), number(limit.Share), slo.PromDuration(limit.For)},
			cells[3:], name)
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(page)
	require.NotNil(t, example)
	settings, err := alerts.ParseSettings("alerts.md", []byte(example[1]))
	require.NoError(t, err)
	file, notes := alerts.Alertmanager(settings)
	require.Empty(t, notes)
	text, err := file.YAML()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "alertmanager.yaml")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	out, err := exec.Command(testenv.Program(t, "amtool", "prometheus-alertmanager"), "check-config", path).CombinedOutput()
	require.NoError(t, err, string(out))
}
