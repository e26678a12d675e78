package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sockeye-project/sockeye/alerts"
)

// What cannot be run here at least fits together: the compose file, what it mounts, and the collectors' configuration.
func TestTheClusterInDeployFitsTogether(t *testing.T) {
	folder := filepath.Join("..", "..", "deploy", "cluster")
	text, err := os.ReadFile(filepath.Join(folder, "compose.yaml"))
	require.NoError(t, err)
	type service struct {
		Image       string
		Hostname    string
		Volumes     []string
		Environment map[string]string
	}
	var compose struct {
		Services map[string]service
		Volumes  map[string]any
		Secrets  map[string]struct{ File string }
	}
	require.NoError(t, yaml.Unmarshal(text, &compose))

	example, err := os.ReadFile(filepath.Join(folder, "example.env"))
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`\$\{(\w+)`).FindAllStringSubmatch(string(text), -1) {
		require.Contains(t, string(example), "\n"+m[1]+"=")
	}

	config, err := os.ReadFile(filepath.Join(folder, "collector.yaml"))
	require.NoError(t, err)
	servers, err := os.ReadFile(filepath.Join(folder, "clickhouse", "cluster.xml"))
	require.NoError(t, err)
	count := map[string]int{}
	shards := map[string]int{}
	for name, s := range compose.Services {
		require.Equal(t, name, s.Hostname)
		require.Regexp(t, `^\$\{\w+_IMAGE:\?`, s.Image, name)
		kind, _, _ := strings.Cut(name, "-")
		count[kind]++
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(source, ".") {
				require.FileExists(t, filepath.Join(folder, source), name)
			} else {
				require.Contains(t, compose.Volumes, source, name)
			}
		}
		if kind == "ch" {
			shards[s.Environment["SHARD"]]++
			require.Equal(t, name, s.Environment["REPLICA"])
			require.Contains(t, string(servers), "<host>"+name+"</host>")
			require.Contains(t, string(config), "http://"+name+":8123/sockeye")
		}
	}
	require.Equal(t, map[string]int{"keeper": 3, "ch": 4, "collector": 2}, count)
	require.Equal(t, map[string]int{"1": 2, "2": 2}, shards)
	require.Contains(t, compose.Secrets, "installation_key")

	for _, path := range []string{"clickhouse/cluster.xml", "clickhouse/users.xml", "keeper/keeper.xml"} {
		file, err := os.Open(filepath.Join(folder, path))
		require.NoError(t, err)
		decoder := xml.NewDecoder(file)
		elements := 0
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, path)
			if _, ok := token.(xml.StartElement); ok {
				elements++
			}
		}
		require.NoError(t, file.Close())
		require.Positive(t, elements)
	}

	t.Setenv("CLICKHOUSE_PASSWORD", "secret")
	_, errs, status := sockeye(t, "validate", "--config", filepath.Join(folder, "collector.yaml"))
	require.Zero(t, status, errs)
}

// What mounts Grafana's files mounts those that are there, and what docs/dashboards.md says to look for is what they hold.
func TestTheGrafanaInDeployFitsTogether(t *testing.T) {
	t.Parallel()
	folder := filepath.Join("..", "..", "deploy", "grafana")
	text, err := os.ReadFile(filepath.Join(folder, "compose.yaml"))
	require.NoError(t, err)
	var compose struct {
		Services map[string]struct {
			Environment map[string]string
			Volumes     []string
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &compose))
	grafana := compose.Services["grafana"]
	mounted := map[string]string{}
	for _, volume := range grafana.Volumes {
		parts := strings.Split(volume, ":")
		require.Len(t, parts, 3)
		require.Equal(t, "ro", parts[2])
		_, err := os.Stat(filepath.Join(folder, parts[0]))
		require.NoError(t, err)
		mounted[parts[1]] = filepath.Join(folder, parts[0])
	}
	require.Contains(t, mounted, grafana.Environment["SOCKEYE_DASHBOARDS"])

	sources, err := os.ReadFile(filepath.Join(folder, "datasources.yaml"))
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(string(sources), -1) {
		require.Contains(t, grafana.Environment, m[1])
	}
	var datasources struct {
		Datasources []struct{ UID, Type string }
	}
	require.NoError(t, yaml.Unmarshal(sources, &datasources))
	uids := map[string]string{}
	for _, d := range datasources.Datasources {
		uids[d.UID] = d.Type
	}
	data, err := os.ReadFile(mounted["/etc/grafana/provisioning/alerting/sockeye.yaml"])
	require.NoError(t, err)
	var rules alerts.GrafanaFile
	require.NoError(t, yaml.Unmarshal(data, &rules))
	count := 0
	for _, g := range rules.Groups {
		count += len(g.Rules)
		for _, r := range g.Rules {
			query := r.Data[0].Model.Datasource
			require.Equal(t, query.Type, uids[query.UID])
		}
	}
	boards, err := filepath.Glob(filepath.Join("..", "..", "dashboards", "out", "*", "*.json"))
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "dashboards.md"))
	require.NoError(t, err)
	require.Contains(t, string(page), fmt.Sprintf("jq length   # %d boards", len(boards)))
	require.Contains(t, string(page), fmt.Sprintf("# %d rules, all ok", count))
}
