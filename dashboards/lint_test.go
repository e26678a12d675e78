package dashboards_test

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sockeye-project/sockeye/dashboards"
)

// lint says what is wrong with a board, as a reader of its file sees it. It knows nothing of how the file was made.
func lint(b map[string]any) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	l := linter{fault: fault, board: b}
	l.head()
	l.variables()
	l.annotations()
	l.layout()
	for _, p := range l.panels() {
		l.panel(p)
	}
	return faults
}

type linter struct {
	fault    func(string, ...any)
	board    map[string]any
	declared map[string]map[string]any
}

func str(m map[string]any, key string) string { s, _ := m[key].(string); return s }

func num(m map[string]any, key string) int { f, _ := m[key].(float64); return int(f) }

func list(m map[string]any, key string) (all []map[string]any) {
	values, _ := m[key].([]any)
	for _, v := range values {
		if one, ok := v.(map[string]any); ok {
			all = append(all, one)
		}
	}
	return all
}

func sub(m map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		m, _ = m[k].(map[string]any)
	}
	return m
}

func (l *linter) panels() (all []map[string]any) {
	for _, p := range list(l.board, "panels") {
		if p["type"] != "row" {
			all = append(all, p)
		}
	}
	return all
}

func (l *linter) head() {
	for _, key := range []string{"uid", "title", "description"} {
		if str(l.board, key) == "" {
			l.fault("board: no %s", key)
		}
	}
	if !regexp.MustCompile(`^[a-zA-Z0-9_-]{1,40}$`).MatchString(str(l.board, "uid")) {
		l.fault("board: Grafana takes no such uid: %q", str(l.board, "uid"))
	}
	if l.board["editable"] != false {
		l.fault("board: is editable, so that a change in the browser gets lost")
	}
	if _, ok := l.board["id"]; ok {
		l.fault("board: has an id, which belongs to one Grafana")
	}
	if str(sub(l.board, "time"), "from") == "" {
		l.fault("board: no time range")
	}
	menu := list(l.board, "links")
	if len(menu) == 0 || menu[0]["keepTime"] != true || menu[0]["includeVars"] != true {
		l.fault("board: no link to the others that keeps time and variables")
	}
}

// used are the variables that a text names.
var used = regexp.MustCompile(`\$\{?([a-z]\w*)`)

func (l *linter) variables() {
	l.declared = map[string]map[string]any{}
	texts := l.texts()
	var order []string
	for _, v := range list(sub(l.board, "templating"), "list") {
		name := str(v, "name")
		l.declared[name] = v
		order = append(order, name)
		if str(v, "label") == "" {
			l.fault("variable %s: no label", name)
		}
		if str(v, "type") == "query" {
			if num(v, "refresh") != 2 {
				l.fault("variable %s: is not loaded anew when the time range changes", name)
			}
			if str(sub(v, "datasource"), "uid") != "${datasource}" {
				l.fault("variable %s: does not ask the chosen datasource", name)
			}
			if _, ok := v["query"].(string); !ok {
				l.fault("variable %s: its query must be a string", name)
			}
			for _, m := range used.FindAllStringSubmatch(str(v, "query"), -1) {
				if _, ok := l.declared[m[1]]; !ok {
					l.fault("variable %s: needs %s, which comes later or never", name, m[1])
				}
			}
		}
		if v["multi"] == true && v["includeAll"] != true {
			l.fault("variable %s: several can be chosen and not all", name)
		}
		if name != "datasource" && !slices.Contains(texts, name) {
			l.fault("variable %s: nothing uses it", name)
		}
	}
	if len(order) == 0 || order[0] != "datasource" || str(l.declared["datasource"], "type") != "datasource" {
		l.fault("board: the first variable must choose the datasource")
	}
	for _, name := range texts {
		if _, ok := l.declared[name]; !ok {
			l.fault("board: uses a variable that it does not have: %s", name)
		}
	}
}

// texts are the variables that queries, titles and links use.
func (l *linter) texts() (names []string) {
	add := func(text string) {
		for _, m := range used.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
	}
	for _, p := range list(l.board, "panels") {
		add(str(p, "title"))
		for _, t := range list(p, "targets") {
			add(str(t, "rawSql") + str(t, "expr"))
		}
		for _, o := range list(sub(p, "fieldConfig"), "overrides") {
			for _, property := range list(o, "properties") {
				for _, link := range list(property, "value") {
					add(str(link, "url"))
				}
			}
		}
	}
	for _, v := range list(sub(l.board, "templating"), "list") {
		add(str(v, "query"))
	}
	return names
}

func (l *linter) annotations() {
	for _, a := range list(sub(l.board, "annotations"), "list") {
		if str(sub(a, "datasource"), "uid") != "${datasource}" {
			l.fault("annotation %s: does not ask the chosen datasource", str(a, "name"))
		}
		if str(sub(a, "target"), "rawSql")+str(a, "expr") == "" {
			l.fault("annotation %s: no query", str(a, "name"))
		}
	}
}

// layout: nothing overlaps or sticks out, ids are there once.
func (l *linter) layout() {
	ids, taken := map[int]string{}, map[[2]int]string{}
	for _, p := range list(l.board, "panels") {
		title, grid := str(p, "title"), sub(p, "gridPos")
		if id := num(p, "id"); id == 0 || ids[id] != "" {
			l.fault("%s: its id %d is missing or taken", title, id)
		} else {
			ids[id] = title
		}
		x, y, w, h := num(grid, "x"), num(grid, "y"), num(grid, "w"), num(grid, "h")
		if w < 1 || h < 1 || x+w > 24 {
			l.fault("%s: sticks out of the grid", title)
		}
		for column := x; column < x+w; column++ {
			for line := y; line < y+h; line++ {
				if other := taken[[2]int{column, line}]; other != "" {
					l.fault("%s: overlaps %s", title, other)
					column, line = x+w, y+h
				} else {
					taken[[2]int{column, line}] = title
				}
			}
		}
	}
}

// Sizes at 1440 pixels: the grid has 24 columns; a letter of a title is about 7.2 wide.
const (
	screen = 1440
	letter = 7.2
)

func (l *linter) panel(p map[string]any) {
	title, kind := str(p, "title"), str(p, "type")
	fault := func(format string, args ...any) {
		l.fault("panel %q: %s", title, fmt.Sprintf(format, args...))
	}
	if title == "" {
		fault("no title")
	}
	grid := sub(p, "gridPos")
	width := num(grid, "w") * screen / 24
	if float64(len([]rune(title)))*letter > float64(width-24) {
		fault("its title does not fit into %d pixels", width)
	}
	for kinds, least := range map[string][2]int{
		"stat": {3, 3}, "timeseries": {8, 7}, "table": {8, 6}, "bargauge": {6, 6}, "barchart": {8, 6}, "logs": {12, 8}, "state-timeline": {12, 3},
	} {
		if kind == kinds && (num(grid, "w") < least[0] || num(grid, "h") < least[1]) {
			fault("too small to be read")
		}
	}
	// What it tells: a question or what is shown; then what to do.
	about, do, found := strings.Cut(str(p, "description"), "\n\n**Do:** ")
	if !found || !strings.Contains(about, "?") || len(do) < 20 {
		fault("its description must ask a question and say what to do")
	}
	d := defaultsOf(p)
	if str(d, "unit") == "" {
		fault("no unit")
	}
	if steps := list(sub(d, "thresholds"), "steps"); len(steps) == 0 || steps[0]["value"] != nil {
		fault("no thresholds, or the first has a value")
	} else {
		for i := 2; i < len(steps); i++ {
			if steps[i]["value"].(float64) <= steps[i-1]["value"].(float64) {
				fault("thresholds do not ascend")
			}
		}
	}
	if str(d, "noValue") == "" {
		fault("does not say what it means that there is nothing")
	}
	if str(sub(p, "datasource"), "uid") != "${datasource}" {
		fault("does not ask the chosen datasource")
	}
	for _, link := range l.links(p) {
		url := str(link, "url")
		if str(link, "type") != "link" || url == "" {
			fault("a link without a type or address")
		}
		keeps := strings.Contains(url, "${__all_variables}") || strings.Contains(url, "${datasource:queryparam}&var-service=")
		if strings.HasPrefix(url, "/d/") && !(strings.Contains(url, "${__url_time_range}") && keeps) {
			fault("a link that loses time or variables")
		}
	}
	if kind == "stat" && len(l.links(p)) == 0 {
		fault("a number that leads nowhere")
	}
	if kind == "stat" && str(d, "unit") == "percentunit" && (d["decimals"] == nil || d["decimals"].(float64) > 4) {
		fault("a share needs a number of decimals")
	}
	if len(list(p, "targets")) == 0 {
		fault("no query")
	}
	for _, t := range list(p, "targets") {
		l.target(p, t, fault)
	}
}

func (l *linter) links(p map[string]any) []map[string]any {
	links := list(defaultsOf(p), "links")
	for _, o := range list(sub(p, "fieldConfig"), "overrides") {
		for _, property := range list(o, "properties") {
			if property["id"] == "links" {
				links = append(links, list(property, "value")...)
			}
		}
	}
	return links
}

func defaultsOf(p map[string]any) map[string]any { return sub(p, "fieldConfig", "defaults") }

// steps of the rollups, which the distance of points must be a multiple of.
var tierInterval = map[string]string{"rollup_10s": "30s", "gauges_10s": "30s", "rollup_15m": "1h"}

func (l *linter) target(p, t map[string]any, fault func(string, ...any)) {
	if str(t, "refId") == "" || str(sub(t, "datasource"), "uid") != "${datasource}" {
		fault("a query without a name or the chosen datasource")
	}
	if str(t, "expr") != "" {
		return
	}
	sql := str(t, "rawSql")
	if !strings.Contains(sql, "$__timeFilter") && !strings.Contains(sql, "$__toTime") {
		fault("its statement ignores the time range")
	}
	if _, ok := l.declared["service"]; ok && !strings.Contains(sql, "${service:") && !strings.Contains(sql, "source_progress") {
		fault("its statement ignores the service")
	}
	for _, table := range slices.Sorted(maps.Keys(tierInterval)) {
		if !regexp.MustCompile(`\b` + table + `\b`).MatchString(sql) {
			continue
		}
		if !strings.Contains(sql, "vantage = ${seen_") {
			fault("its statement may count a connection at two places")
		}
		if strings.Contains(sql, "$__timeInterval") && str(p, "interval") != tierInterval[table] {
			fault("points closer than %s cannot be drawn from %s", tierInterval[table], table)
		}
	}
	if (str(p, "type") == "timeseries" || str(p, "type") == "state-timeline") != (num(t, "format") == 0) {
		fault("series must be drawn as series, and rows as rows")
	}
	if !strings.Contains(sql, "LIMIT") && str(p, "type") == "logs" {
		fault("asks for all lines there are")
	}
}

func TestBoardsKeepTheRules(t *testing.T) {
	t.Parallel()
	uids := map[string]bool{}
	var links []string
	for _, d := range dashboards.Datasources() {
		for _, b := range boards(t, d) {
			require.Empty(t, lint(asJSON(t, b)), *b.Uid)
			require.False(t, uids[*b.Uid], "two boards with the uid %s", *b.Uid)
			uids[*b.Uid] = true
			for _, p := range panels(b) {
				for _, link := range (&linter{}).links(asJSON(t, p)) {
					links = append(links, str(link, "url"))
				}
			}
		}
	}
	require.NotEmpty(t, links)
	for _, url := range links {
		if rest, ok := strings.CutPrefix(url, "/d/"); ok {
			uid, _, _ := strings.Cut(rest, "?")
			require.True(t, uids[uid], "a link leads nowhere: %s", url)
		}
	}
}

// What provisions the boards names folders that are written.
func TestProvisioningNamesTheFolders(t *testing.T) {
	t.Parallel()
	files, err := dashboards.Files(dashboards.Datasources(), nil)
	require.NoError(t, err)
	folders := map[string]bool{}
	var provisioning struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Folder, Type string
			FolderUID          string `yaml:"folderUid"`
			Options            struct{ Path string }
		}
	}
	for _, f := range files {
		if strings.HasSuffix(f.Path, ".json") {
			folders["${SOCKEYE_DASHBOARDS}/"+path.Dir(f.Path)] = true
		} else {
			require.NoError(t, yaml.Unmarshal([]byte(f.Data), &provisioning), f.Path)
		}
	}
	require.Equal(t, 1, provisioning.APIVersion)
	names := map[string]bool{}
	for _, p := range provisioning.Providers {
		require.True(t, folders[p.Options.Path], p.Options.Path)
		require.Equal(t, "file", p.Type)
		require.NotEmpty(t, p.Folder+p.FolderUID)
		names[p.Name], names[p.FolderUID+p.Folder] = true, true
	}
	require.Len(t, names, 2*len(folders))
}

// What a query returns is what its panel speaks of.
func TestPanelsSpeakOfTheirColumns(t *testing.T) {
	t.Parallel()
	for _, b := range boards(t, dashboards.ClickHouse) {
		for _, p := range panels(b) {
			q := p.Targets[0].(*dashboards.Query)
			if q.Format == dashboards.FormatTable {
				for _, o := range p.FieldConfig.Overrides {
					require.Contains(t, q.Columns, o.Matcher.Options, *p.Title)
				}
			}
			for _, m := range regexp.MustCompile(`__field\.labels\.(\w+)`).FindAllStringSubmatch(deref(p.FieldConfig.Defaults.DisplayName), -1) {
				require.Contains(t, q.Columns, m[1], *p.Title)
			}
		}
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Every rule of the linter is broken once and noticed.
func TestTheLinterNotices(t *testing.T) {
	t.Parallel()
	first := func(b map[string]any, list string, i int) map[string]any {
		return sub(b, list)["list"].([]any)[i].(map[string]any)
	}
	for name, c := range map[string]struct {
		mutate func(b map[string]any)
		want   string
	}{
		"no description of the board":     {func(b map[string]any) { delete(b, "description") }, "board: no description"},
		"a uid with a space":              {func(b map[string]any) { b["uid"] = "on call" }, "takes no such uid"},
		"editable":                        {func(b map[string]any) { b["editable"] = true }, "is editable"},
		"an id of one Grafana":            {func(b map[string]any) { b["id"] = 7.0 }, "has an id"},
		"no time range":                   {func(b map[string]any) { delete(b, "time") }, "no time range"},
		"a menu that forgets the time":    {func(b map[string]any) { list(b, "links")[0]["keepTime"] = false }, "keeps time and variables"},
		"a menu that forgets variables":   {func(b map[string]any) { list(b, "links")[0]["includeVars"] = false }, "keeps time and variables"},
		"a variable without a label":      {func(b map[string]any) { first(b, "templating", 1)["label"] = "" }, "no label"},
		"a variable that stays":           {func(b map[string]any) { first(b, "templating", 1)["refresh"] = 1.0 }, "not loaded anew when the time range changes"},
		"a variable of another source":    {func(b map[string]any) { sub(first(b, "templating", 1), "datasource")["uid"] = "P1" }, "variable service: does not ask the chosen"},
		"a query that is an object":       {func(b map[string]any) { first(b, "templating", 1)["query"] = map[string]any{} }, "must be a string"},
		"variables in the wrong order":    {func(b map[string]any) { all := sub(b, "templating")["list"].([]any); all[1], all[2] = all[2], all[1] }, "comes later or never"},
		"several but not all":             {func(b map[string]any) { first(b, "templating", 2)["includeAll"] = false }, "not all"},
		"a variable that nothing uses":    {func(b map[string]any) { first(b, "templating", 4)["name"] = "pod" }, "variable pod: nothing uses it"},
		"a variable that is not there":    {func(b map[string]any) { sub(b, "templating")["list"] = sub(b, "templating")["list"].([]any)[:4] }, "does not have: instance"},
		"no choice of the datasource":     {func(b map[string]any) { sub(b, "templating")["list"] = sub(b, "templating")["list"].([]any)[1:] }, "must choose the datasource"},
		"an annotation of another source": {func(b map[string]any) { sub(first(b, "annotations", 0), "datasource")["uid"] = "P1" }, "annotation Deploys: does not ask"},
		"an annotation without a query":   {func(b map[string]any) { delete(first(b, "annotations", 0), "target") }, "no query"},
		"two panels with one id":          {func(b map[string]any) { ofType(b, "stat")["id"] = 1.0 }, "missing or taken"},
		"a panel without an id":           {func(b map[string]any) { delete(ofType(b, "stat"), "id") }, "missing or taken"},
		"a panel over another": {func(b map[string]any) {
			g := sub(ofType(b, "timeseries"), "gridPos")
			g["y"] = float64(num(g, "y") - 1)
		}, "overlaps"},
		"a panel beyond the edge":     {func(b map[string]any) { sub(ofType(b, "logs"), "gridPos")["x"] = 4.0 }, "sticks out"},
		"a panel without a title":     {func(b map[string]any) { delete(ofType(b, "table"), "title") }, "no title"},
		"a title that is too long":    {func(b map[string]any) { ofType(b, "stat")["title"] = strings.Repeat("too long ", 9) }, "does not fit"},
		"a panel as small as a stamp": {func(b map[string]any) { sub(ofType(b, "timeseries"), "gridPos")["h"] = 3.0 }, "too small"},
		"a description that asks nothing": {func(b map[string]any) {
			ofType(b, "stat")["description"] = "Seconds.\n\n**Do:** read the log of the collector"
		}, "must ask a question"},
		"a description without advice": {func(b map[string]any) { ofType(b, "stat")["description"] = "How old is it?" }, "must ask a question"},
		"no unit":                      {func(b map[string]any) { delete(defaults(ofType(b, "timeseries")), "unit") }, "no unit"},
		"no thresholds":                {func(b map[string]any) { delete(defaults(ofType(b, "stat")), "thresholds") }, "no thresholds"},
		"thresholds that fall": {func(b map[string]any) {
			steps := sub(defaults(ofType(b, "stat")), "thresholds")["steps"].([]any)
			steps[1], steps[2] = steps[2], steps[1]
		}, "do not ascend"},
		"nothing has no name":       {func(b map[string]any) { delete(defaults(ofType(b, "stat")), "noValue") }, "that there is nothing"},
		"a panel of another source": {func(b map[string]any) { sub(ofType(b, "stat"), "datasource")["uid"] = "P1" }, "does not ask the chosen"},
		"a query of another source": {func(b map[string]any) { sub(list(ofType(b, "stat"), "targets")[0], "datasource")["uid"] = "P1" }, "the chosen datasource"},
		"a link without its type":   {func(b map[string]any) { (&linter{}).links(ofType(b, "table"))[0]["type"] = "" }, "a link without a type"},
		"a link that forgets":       {func(b map[string]any) { (&linter{}).links(ofType(b, "table"))[0]["url"] = "/d/sockeye-slo" }, "loses time or variables"},
		"a share without decimals": {func(b map[string]any) {
			p := ofType(b, "stat")
			defaults(p)["unit"] = "percentunit"
			delete(defaults(p), "decimals")
		}, "number of decimals"},
		"a number that leads nowhere": {func(b map[string]any) { delete(defaults(ofType(b, "stat")), "links") }, "leads nowhere"},
		"no query":                    {func(b map[string]any) { ofType(b, "stat")["targets"] = []any{} }, "no query"},
		"a statement without time": {func(b map[string]any) {
			list(ofType(b, "table"), "targets")[0]["rawSql"] = "SELECT 1 WHERE service = ${service:singlequote}"
		}, "ignores the time range"},
		"a statement without a service":   {func(b map[string]any) { list(ofType(b, "table"), "targets")[0]["rawSql"] = "SELECT $__toTime" }, "ignores the service"},
		"a statement over all vantages":   {replaceSQL("vantage = ${seen_gauges:singlequote}", "1"), "at two places"},
		"points that hold uneven buckets": {func(b map[string]any) { delete(ofType(b, "timeseries"), "interval") }, "points closer than 30s"},
		"rows as series":                  {func(b map[string]any) { list(ofType(b, "table"), "targets")[0]["format"] = 0.0 }, "rows as rows"},
		"series as rows":                  {func(b map[string]any) { list(ofType(b, "timeseries"), "targets")[0]["format"] = 1.0 }, "drawn as series"},
		"all the log lines that there are": {func(b map[string]any) {
			t := list(ofType(b, "logs"), "targets")[0]
			t["rawSql"] = strings.Replace(str(t, "rawSql"), "LIMIT 200", "", 1)
		}, "all lines there are"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := asJSON(t, onCall(t))
			c.mutate(b)
			faults := strings.Join(lint(b), "\n")
			require.Contains(t, faults, c.want)
		})
	}
}

func replaceSQL(old, with string) func(b map[string]any) {
	return func(b map[string]any) {
		for _, p := range list(b, "panels") {
			for _, target := range list(p, "targets") {
				target["rawSql"] = strings.ReplaceAll(str(target, "rawSql"), old, with)
			}
		}
	}
}

func onCall(t testing.TB) *dashboards.Dashboard {
	t.Helper()
	for _, b := range boards(t, dashboards.ClickHouse) {
		if *b.Uid == dashboards.UID(dashboards.ClickHouse, "oncall") {
			return b
		}
	}
	t.Fatal("no such board")
	return nil
}
