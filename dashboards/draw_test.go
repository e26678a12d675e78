package dashboards_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// draw makes a picture of a board, from its JSON and what its queries returned, so that a reviewer without Grafana sees the layout,
// the titles and plausible values. It says on the picture that it is no more than that.
func draw(board []byte, frames map[uint32]frame) ([]byte, error) {
	var b drawnBoard
	if err := json.Unmarshal(board, &b); err != nil {
		return nil, err
	}
	bottom := 0
	for _, p := range b.Panels {
		bottom = max(bottom, p.GridPos.Y+p.GridPos.H)
	}
	d := &drawing{}
	height := header + bottom*unitHeight + margin
	fmt.Fprintf(&d.svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n", pictureWidth, height)
	d.rect(0, 0, pictureWidth, height, "#f4f5f5", "")
	d.text(margin, 26, 18, "#24292e", "", b.Title)
	d.text(pictureWidth-margin, 26, 13, "#c4162a", "end", "drawn for review, not by Grafana")
	var names []string
	for _, v := range b.Templating.List {
		if v.Hide != 2 {
			names = append(names, v.Label+" ▾")
		}
	}
	d.text(margin, 50, 12, "#555", "", strings.Join(names, "     ")+"     "+b.Time.From+" to now")
	for _, p := range b.Panels {
		d.panel(p, frames[p.ID])
	}
	d.svg.WriteString("</svg>\n")
	return d.svg.Bytes(), nil
}

const (
	pictureWidth = 1440
	columnWidth  = pictureWidth / 24
	unitHeight   = 38
	margin       = 8
	header       = 64
)

type drawnBoard struct {
	Title      string
	Time       struct{ From string }
	Templating struct {
		List []struct {
			Label string
			Hide  int
		}
	}
	Panels []drawnPanel
}

type drawnPanel struct {
	ID          uint32
	Type, Title string
	TimeFrom    string
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct {
		Defaults  drawnField
		Overrides []struct {
			Matcher    struct{ ID, Options string }
			Properties []struct {
				ID    string
				Value json.RawMessage
			}
		}
	}
}

type drawnField struct {
	Unit, DisplayName, NoValue string
	Decimals                   *float64
	Min, Max                   *float64
	Thresholds                 struct {
		Steps []struct {
			Value *float64
			Color string
		}
	}
	Mappings []struct {
		Options map[string]struct{ Text, Color string }
	}
	Custom struct {
		Stacking        struct{ Mode string }
		ThresholdsStyle struct{ Mode string }
	}
	fixed, dashes string
}

// field is how a column or series shows: the defaults with what is overridden by name.
func (p *drawnPanel) field(name string) drawnField {
	f := p.FieldConfig.Defaults
	for _, o := range p.FieldConfig.Overrides {
		if o.Matcher.ID == "byRegexp" {
			if !regexp.MustCompile(strings.Trim(o.Matcher.Options, "/")).MatchString(name) {
				continue
			}
		} else if o.Matcher.Options != name {
			continue
		}
		for _, property := range o.Properties {
			var into any
			switch property.ID {
			case "unit":
				into = &f.Unit
			case "decimals":
				f.Decimals = new(float64)
				into = f.Decimals
			case "thresholds":
				f.Thresholds.Steps = nil
				into = &f.Thresholds
			case "mappings":
				into = &f.Mappings
			case "custom.lineStyle":
				f.dashes = ` stroke-dasharray="6 4"`
				continue
			case "color":
				var c struct{ FixedColor string }
				if json.Unmarshal(property.Value, &c) == nil {
					f.fixed = c.FixedColor
				}
				continue
			default:
				continue
			}
			if err := json.Unmarshal(property.Value, into); err != nil {
				panic(err)
			}
		}
	}
	return f
}

var palette = []string{"#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0", "#508642", "#cca300"}

func color(name string) string {
	switch name {
	case "green":
		return "#37872d"
	case "yellow":
		return "#e0b400"
	case "orange":
		return "#fa6400"
	case "red":
		return "#c4162a"
	case "blue":
		return "#1f60c4"
	case "purple":
		return "#8f3bb8"
	}
	return name
}

func (f *drawnField) colorOf(v any) string {
	number, ok := v.(float64)
	if !ok {
		return "#24292e"
	}
	chosen := "#24292e"
	for _, s := range f.Thresholds.Steps {
		if s.Value == nil || number >= *s.Value {
			chosen = color(s.Color)
		}
	}
	return chosen
}

// show writes a value as Grafana would, roughly.
func (f *drawnField) show(v any) string {
	number, ok := v.(float64)
	if !ok {
		if v == nil {
			return f.NoValue
		}
		text := fmt.Sprint(v)
		for _, m := range f.Mappings {
			if to, ok := m.Options[text]; ok {
				return to.Text
			}
		}
		return text
	}
	digits := 2
	if f.Decimals != nil {
		digits = int(*f.Decimals)
	} else if number == math.Trunc(number) {
		digits = 0
	}
	fixed := func(x float64, unit string) string { return fmt.Sprintf("%.*f%s", digits, x, unit) }
	switch f.Unit {
	case "percentunit":
		return fixed(number*100, "%")
	case "percent":
		return fixed(number, "%")
	case "bytes", "binBps":
		second := strings.TrimPrefix(f.Unit, "bytes")
		if second != "" {
			second = "/s"
		}
		for _, u := range []string{" B", " KiB", " MiB", " GiB"} {
			if math.Abs(number) < 1024 {
				return fmt.Sprintf("%.3g%s", number, u+second)
			}
			number /= 1024
		}
		return fmt.Sprintf("%.3g TiB%s", number, second)
	case "s":
		if number != 0 && math.Abs(number) < 1 {
			return fmt.Sprintf("%.3g ms", number*1000)
		}
		return fixed(number, " s")
	case "dtdurations":
		return (time.Duration(number) * time.Second).String()
	case "d":
		return fixed(number, " days")
	case "h":
		return fixed(number, " h")
	case "cps":
		return fmt.Sprintf("%.3g/s", number)
	}
	for _, u := range []string{"", " K", " Mil", " Bil"} {
		if math.Abs(number) < 1000 {
			if u == "" {
				return fixed(number, "")
			}
			return fmt.Sprintf("%.3g%s", number, u)
		}
		number /= 1000
	}
	return fmt.Sprintf("%.3g Tri", number)
}

type drawing struct{ svg bytes.Buffer }

func (d *drawing) rect(x, y, w, h int, fill, stroke string) {
	fmt.Fprintf(&d.svg, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"`, x, y, max(w, 0), max(h, 0), fill)
	if stroke != "" {
		fmt.Fprintf(&d.svg, ` stroke="%s"`, stroke)
	}
	d.svg.WriteString("/>\n")
}

func (d *drawing) text(x, y, size int, fill, anchor, text string) {
	fmt.Fprintf(&d.svg, `<text x="%d" y="%d" font-size="%d" fill="%s"`, x, y, size, fill)
	if anchor != "" {
		fmt.Fprintf(&d.svg, ` text-anchor="%s"`, anchor)
	}
	d.svg.WriteString(">")
	_ = xml.EscapeText(&d.svg, []byte(text))
	d.svg.WriteString("</text>\n")
}

// clip shortens a text to a width in pixels.
func clip(text string, width, size int) string {
	most := int(float64(width) / (float64(size) * textWidth))
	if r := []rune(text); len(r) > most {
		return string(r[:max(most-1, 0)]) + "…"
	}
	return text
}

// textWidth is the mean width of a letter, as a share of the size.
const textWidth = 0.55

// area is where a panel's content goes.
type area struct{ x, y, w, h int }

func (d *drawing) panel(p drawnPanel, f frame) {
	x, y := p.GridPos.X*columnWidth+margin/2, header+p.GridPos.Y*unitHeight
	w, h := p.GridPos.W*columnWidth-margin, p.GridPos.H*unitHeight-margin
	if p.Type == "row" {
		d.text(x+4, y+22, 14, "#24292e", "", "▾ "+strings.NewReplacer("$slo", chosen["slo"][0], "$service", chosen["service"][0]).Replace(p.Title))
		return
	}
	d.rect(x, y, w, h, "#fff", "#d8d9da")
	title := p.Title
	if p.TimeFrom != "" {
		title += "  ·  last " + p.TimeFrom
	}
	d.text(x+8, y+18, 13, "#24292e", "", clip(title, w-16, 13))
	in := area{x + 8, y + 28, w - 16, h - 36}
	if len(f.Data) == 0 {
		d.text(x+w/2, y+h/2, 13, "#8e8e8e", "middle", p.FieldConfig.Defaults.NoValue)
		return
	}
	switch p.Type {
	case "stat":
		field := p.field(f.Meta[0].Name)
		d.text(x+w/2, y+h/2+22, 30, field.colorOf(f.Data[0][0]), "middle", field.show(f.Data[0][0]))
	case "table":
		d.table(p, f, in)
	case "bargauge":
		d.bars(p, f, in)
	case "barchart":
		d.chart(f, in)
	case "logs":
		for i, row := range f.Data {
			if line := in.y + 12 + i*15; line < in.y+in.h {
				d.text(in.x, line, 11, map[bool]string{true: color("red"), false: color("orange")}[row[2] == "error"], "",
					clip(fmt.Sprint(row[0])[:19]+"  "+fmt.Sprint(row[1]), in.w, 11))
			}
		}
	case "state-timeline":
		d.timeline(p, f, in)
	case "timeseries":
		d.series(p, f, in)
	default:
		panic("no way to draw a panel of type " + p.Type)
	}
}

func (d *drawing) table(p drawnPanel, f frame, in area) {
	// A column is as wide as what is in it, within the panel's width.
	widths, total := make([]int, len(f.Meta)), 0
	for i, m := range f.Meta {
		field, longest := p.field(m.Name), len(m.Name)
		for _, row := range f.Data {
			longest = max(longest, len([]rune(field.show(row[i]))))
		}
		widths[i] = min(longest, 32) + 2
		total += widths[i]
	}
	x := in.x
	for i, m := range f.Meta {
		width := in.w * widths[i] / total
		d.text(x, in.y+12, 11, "#1f60c4", "", clip(m.Name, width-4, 11))
		field := p.field(m.Name)
		for r, row := range f.Data {
			y := in.y + 32 + r*19
			if y > in.y+in.h {
				break
			}
			fill := "#24292e"
			if len(field.Mappings) > 0 {
				if to, ok := field.Mappings[0].Options[fmt.Sprint(row[i])]; ok {
					d.rect(x-2, y-13, width-2, 17, color(to.Color), "")
					fill = "#fff"
				}
			} else if field.Unit != p.FieldConfig.Defaults.Unit && len(field.Thresholds.Steps) > 1 {
				fill = field.colorOf(row[i])
			}
			shown := field.show(row[i])
			if row[i] == nil {
				shown = ""
			}
			d.text(x, y, 12, fill, "", clip(shown, width-4, 12))
		}
		x += width
	}
}

func (d *drawing) bars(p drawnPanel, f frame, in area) {
	field := p.field(f.Meta[1].Name)
	each := min(in.h/len(f.Data), 44)
	// Names take what the longest needs, up to half of it; a bar that says no maximum is as long as its share of the highest.
	names, most := 0, 0.0
	for _, row := range f.Data {
		value, _ := row[1].(float64)
		names, most = max(names, int(float64(len([]rune(fmt.Sprint(row[0])))+1)*12*textWidth)), max(most, value)
	}
	names = min(names, in.w/2) + 10
	if field.Max != nil {
		most = *field.Max
	}
	for i, row := range f.Data {
		y := in.y + i*each
		d.text(in.x, y+each/2+4, 12, "#24292e", "", clip(fmt.Sprint(row[0]), names, 12))
		d.rect(in.x+names, y+4, in.w-names-70, each-10, "#eee", "")
		value, _ := row[1].(float64)
		d.rect(in.x+names, y+4, int(float64(in.w-names-70)*min(max(value, 0)/max(most, 1e-9), 1)), each-10, field.colorOf(row[1]), "")
		d.text(in.x+in.w, y+each/2+4, 13, field.colorOf(row[1]), "end", field.show(row[1]))
	}
}

func (d *drawing) chart(f frame, in area) {
	most := 0.0
	for _, row := range f.Data {
		v, _ := row[1].(float64)
		most = max(most, v)
	}
	each := in.w / len(f.Data)
	for i, row := range f.Data {
		v, _ := row[1].(float64)
		h := int(float64(in.h-20) * v / max(most, 1))
		d.rect(in.x+i*each+2, in.y+in.h-16-h, each-4, h, "#7eb26d", "")
		if each > 40 || i%2 == 0 {
			d.text(in.x+i*each+each/2, in.y+in.h-2, 10, "#555", "middle", fmt.Sprint(row[0]))
		}
	}
}

// line is one series.
type line struct {
	name   string
	times  []int64
	values []any
}

// lines splits a frame: strings are labels, numbers are values.
func lines(p drawnPanel, f frame) []*line {
	byName, order := map[string]*line{}, []*line(nil)
	for _, row := range f.Data {
		at, err := time.Parse("2006-01-02 15:04:05", fmt.Sprint(row[0])[:19])
		if err != nil {
			panic(err)
		}
		replace, text := []string{}, ""
		for i, m := range f.Meta[1:] {
			if isText(m.Type) {
				replace = append(replace, "${__field.labels."+m.Name+"}", fmt.Sprint(row[i+1]))
				text = m.Name
			}
		}
		for i, m := range f.Meta[1:] {
			if isText(m.Type) && !(p.Type == "state-timeline" && i == len(f.Meta)-2) {
				continue
			}
			name := m.Name
			if f.named {
				name = fmt.Sprint(row[1])
			} else if shown := p.FieldConfig.Defaults.DisplayName; shown != "" {
				name = strings.NewReplacer(append(replace, "${__field.name}", m.Name)...).Replace(shown)
			} else if text != "" {
				panic("a series with labels needs a display name: " + p.Title)
			}
			if byName[name] == nil {
				byName[name] = &line{name: name}
				order = append(order, byName[name])
			}
			byName[name].times, byName[name].values = append(byName[name].times, at.Unix()), append(byName[name].values, row[i+1])
		}
	}
	slices.SortStableFunc(order, func(a, b *line) int { return cmp.Compare(a.name, b.name) })
	return order
}

func isText(kind string) bool { return strings.Contains(kind, "String") }

func (d *drawing) timeline(p drawnPanel, f frame, in area) {
	all := lines(p, f)
	first, last := rangeOf(all)
	each := min(in.h/len(all), 30)
	for i, l := range all {
		y := in.y + i*each
		d.text(in.x, y+each/2+4, 12, "#24292e", "", clip(l.name, 200, 12))
		left, width := in.x+210, float64(in.w-210)
		for j := 0; j < len(l.times); {
			k := j
			for k < len(l.times) && l.values[k] == l.values[j] {
				k++
			}
			end := last
			if k < len(l.times) {
				end = l.times[k]
			}
			from := int(width * float64(l.times[j]-first) / float64(last-first))
			to := int(width * float64(end-first) / float64(last-first))
			state := p.FieldConfig.Defaults.Mappings[0].Options[fmt.Sprint(l.values[j])]
			d.rect(left+from, y+2, max(to-from, 1), each-4, color(state.Color), "")
			j = k
		}
	}
}

func rangeOf(all []*line) (first, last int64) {
	first = math.MaxInt64
	for _, l := range all {
		first, last = min(first, l.times[0]), max(last, l.times[len(l.times)-1])
	}
	return first, max(last, first+1)
}

func (d *drawing) series(p drawnPanel, f frame, in area) {
	all := lines(p, f)
	first, last := rangeOf(all)
	defaults := p.FieldConfig.Defaults
	plot := area{in.x + 56, in.y, in.w - 60, in.h - 40}
	stacked := defaults.Custom.Stacking.Mode == "normal"
	// Columns: one for each moment, as long as there is room. Each series has its mean in each.
	moments := map[int64]bool{}
	for _, l := range all {
		for _, at := range l.times {
			moments[at] = true
		}
	}
	width := max(min(plot.w/3, len(moments)-1), 1)
	values := make([][]float64, len(all))
	for i, l := range all {
		sums, counts := make([]float64, width+1), make([]float64, width+1)
		for j, at := range l.times {
			if v, ok := l.values[j].(float64); ok {
				c := int(int64(width) * (at - first) / (last - first))
				sums[c], counts[c] = sums[c]+v, counts[c]+1
			}
		}
		for c := range sums {
			if counts[c] > 0 {
				sums[c] /= counts[c]
			} else if !stacked {
				sums[c] = math.NaN()
			}
		}
		values[i] = sums
	}
	if stacked {
		for i := 1; i < len(values); i++ {
			for c := range values[i] {
				values[i][c] += values[i-1][c]
			}
		}
	}
	low, high := 0.0, 0.0
	if !stacked {
		low = math.Inf(1)
	}
	for _, v := range values {
		for _, x := range v {
			if !math.IsNaN(x) {
				low, high = min(low, x), max(high, x)
			}
		}
	}
	low = min(low, 0)
	if high <= low {
		high = low + 1
	}
	at := func(v float64) int { return plot.y + plot.h - int(float64(plot.h)*(v-low)/(high-low)) }
	for i := range 5 {
		v := low + (high-low)*float64(i)/4
		fmt.Fprintf(&d.svg, `<path d="M%d %dh%d" stroke="#eee"/>`+"\n", plot.x, at(v), plot.w)
		d.text(plot.x-4, at(v)+4, 10, "#555", "end", defaults.show(v))
		when := time.Unix(first+(last-first)*int64(i)/4, 0).UTC()
		layout, anchor := "15:04", map[int]string{0: "start", 4: "end"}[i]
		if last-first > 2*86400 {
			layout = "01-02 15:04"
		}
		d.text(plot.x+plot.w*i/4, plot.y+plot.h+14, 10, "#555", cmp.Or(anchor, "middle"), when.Format(layout))
	}
	if defaults.Custom.ThresholdsStyle.Mode == "dashed" {
		for _, s := range defaults.Thresholds.Steps {
			if s.Value != nil && *s.Value >= low && *s.Value <= high {
				fmt.Fprintf(&d.svg, `<path d="M%d %dh%d" stroke="%s" stroke-dasharray="6 4"/>`+"\n", plot.x, at(*s.Value), plot.w, color(s.Color))
			}
		}
	}
	legend := in.x + 56
	for i := range slices.Backward(all) {
		field := p.field(all[i].name)
		stroke := color(cmp.Or(field.fixed, palette[i%len(palette)]))
		var path strings.Builder
		pen := "M"
		for c, v := range values[i] {
			if math.IsNaN(v) {
				continue
			}
			fmt.Fprintf(&path, "%s%d %d", pen, plot.x+plot.w*c/width, at(v))
			pen = "L"
		}
		fill := "none"
		if stacked {
			fmt.Fprintf(&path, "V%dH%dZ", at(low), plot.x)
			fill = stroke
		}
		fmt.Fprintf(&d.svg, `<path d="%s" fill="%s" fill-opacity="0.35" stroke="%s"%s/>`+"\n", path.String(), fill, stroke, field.dashes)
	}
	at0, line := legend, in.y+in.h-3
	for i, l := range all {
		field := p.field(l.name)
		size := int(float64(len([]rune(l.name)))*11*textWidth) + 30
		if legend+size > in.x+in.w {
			if line != in.y+in.h-3 {
				break
			}
			legend, line = at0, line+10
		}
		d.rect(legend, line-5, 14, 3, color(cmp.Or(field.fixed, palette[i%len(palette)])), "")
		d.text(legend+18, line, 11, "#24292e", "", l.name)
		legend += size
	}
}
