package dashboards

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/barchart"
	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/logs"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/grafana/grafana-foundation-sdk/go/units"

	"github.com/sockeye-project/sockeye/event"
	"github.com/sockeye-project/sockeye/slo"
)

// kind is a panel's type, in Grafana's words.
type kind string

const (
	kindStat     kind = "stat"
	kindSeries   kind = "timeseries"
	kindTable    kind = "table"
	kindBars     kind = "bargauge"
	kindChart    kind = "barchart"
	kindLogs     kind = "logs"
	kindTimeline kind = "state-timeline"
)

// Colours, the same for the same meaning on every board.
const (
	good    = "green"
	warning = "yellow"
	serious = "orange"
	bad     = "red"
	neutral = "blue"
	unknown = "#8e8e8e"
)

// gridWidth is how many columns Grafana's grid has.
const gridWidth = 24

// panel is what a board declares of a panel.
type panel struct {
	kind kind
	// title is short; asks is the question that the panel answers, and do what to do about the answer.
	title, asks, do string
	w, h            uint32
	unit            string
	// decimals is nil where Grafana decides.
	decimals *float64
	queries  []variants.Dataquery
	// series is how a series is called, by its labels; empty where columns name them.
	series string
	// steps are thresholds: the colour from a value on. The first has no value.
	steps []dashboard.Threshold
	// dashed draws the thresholds into the series.
	dashed bool
	// ratio is for shares: the axis begins at 0 and ends at 1.
	ratio bool
	stack bool
	// colors gives series a fixed colour, by name.
	colors map[string]string
	// limits draws series whose names end so as limits: red and dashed.
	limits string
	// fields says of a column of a table, by name, in which unit it is or what its values look like.
	fields []field
	// empty is what shows where there is nothing; "no traffic" if empty.
	empty string
	// interval is the least distance of two points.
	interval string
	// last narrows the panel to this much before the end of the dashboard's time range, such as 3d.
	last string
	// opens is the board that a value opens.
	opens *dashboard.DashboardLink
}

// field is how a column shows.
type field struct {
	name     string
	unit     string
	decimals *float64
	steps    []dashboard.Threshold
	states   bool
	link     *dashboard.DashboardLink
	width    float64
}

func ptr[T any](v T) *T { return &v }

// from is a threshold: this colour from value on.
func from(value float64, color string) dashboard.Threshold {
	return dashboard.Threshold{Value: &value, Color: color}
}

// base is the colour below all thresholds.
func base(color string) dashboard.Threshold { return dashboard.Threshold{Color: color} }

// above gives steps for a share that should reach an objective.
func above(objective float64) []dashboard.Threshold {
	return []dashboard.Threshold{base(bad), from(objective, good)}
}

var budgetSteps = []dashboard.Threshold{base(bad), from(0, serious), from(0.25, warning), from(0.5, good)}

// stateColors say how a state looks, everywhere.
var stateColors = map[slo.State]string{
	slo.StateOK: good, slo.StateBurning: serious, slo.StateExhausted: bad, slo.StateLowCoverage: warning,
	slo.StateNoTraffic: neutral, slo.StateNoData: unknown,
}

// faultColors say whose fault a failure is, everywhere.
var faultColors = map[event.Fault]string{
	event.FaultClient: neutral, event.FaultPolicy: warning, event.FaultServer: bad, event.FaultIDP: "purple",
	event.FaultNetwork: serious, event.FaultUnknown: unknown,
}

func stateMappings() []dashboard.ValueMapping {
	options := map[string]dashboard.ValueMappingResult{}
	for i, s := range slo.States() {
		options[string(s)] = dashboard.ValueMappingResult{
			Text: ptr(strings.ReplaceAll(string(s), "_", " ")), Color: ptr(stateColors[s]), Index: ptr(int32(i)),
		}
	}
	return []dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText,
		Options: options}}}
}

// build makes the SDK's panel. source is the datasource that its queries ask.
func (p *panel) build(source common.DataSourceRef) (dashboard.Panel, error) {
	description := p.asks + "\n\n**Do:** " + p.do
	defaults := dashboard.FieldConfig{
		Unit: ptr(p.unit), Decimals: p.decimals, NoValue: ptr("no traffic"),
		Color: &dashboard.FieldColor{Mode: dashboard.FieldColorModeIdThresholds},
	}
	if p.empty != "" {
		defaults.NoValue = ptr(p.empty)
	}
	steps := p.steps
	if len(steps) == 0 {
		steps = []dashboard.Threshold{base(neutral)}
	}
	defaults.Thresholds = &dashboard.ThresholdsConfig{Mode: dashboard.ThresholdsModeAbsolute, Steps: steps}
	if p.ratio {
		defaults.Min, defaults.Max = ptr(0.0), ptr(1.0)
	}
	if p.series != "" {
		defaults.DisplayName = ptr(p.series)
	}
	if p.opens != nil {
		defaults.Links = []dashboard.DashboardLink{*p.opens}
	}
	built := dashboard.Panel{
		Type: string(p.kind), Title: ptr(p.title), Description: ptr(description), Datasource: &source,
		GridPos: &dashboard.GridPos{W: p.w, H: p.h}, Targets: p.queries,
		FieldConfig: &dashboard.FieldConfigSource{Overrides: []dashboard.DashboardFieldConfigSourceOverrides{}},
	}
	if p.interval != "" {
		built.Interval = ptr(p.interval)
	}
	if p.last != "" {
		built.TimeFrom = ptr(p.last)
	}
	tooltip := common.VizTooltipOptions{Mode: common.TooltipDisplayModeMulti, Sort: common.SortOrderDescending}
	legend := common.VizLegendOptions{
		DisplayMode: common.LegendDisplayModeList, Placement: common.LegendPlacementBottom, ShowLegend: true,
		Calcs: []string{},
	}
	reduce := common.ReduceDataOptions{Calcs: []string{"lastNotNull"}, Values: ptr(false)}
	switch p.kind {
	case kindStat:
		options := stat.NewOptions()
		options.GraphMode = common.BigValueGraphModeNone
		options.ReduceOptions, options.Orientation = reduce, common.VizOrientationAuto
		built.Options = options
	case kindSeries:
		defaults.Color.Mode = dashboard.FieldColorModeIdPaletteClassicByName
		custom := timeseries.FieldConfig{
			DrawStyle: ptr(common.GraphDrawStyleLine), LineWidth: ptr(1.0), FillOpacity: ptr(8.0),
			ShowPoints: ptr(common.VisibilityModeNever), AxisSoftMin: ptr(0.0),
			ThresholdsStyle: &common.GraphThresholdsStyleConfig{Mode: common.GraphThresholdsStyleModeOff},
		}
		if p.stack {
			custom.Stacking = &common.StackingConfig{Mode: ptr(common.StackingModeNormal)}
			custom.FillOpacity = ptr(30.0)
		}
		if p.dashed {
			custom.ThresholdsStyle.Mode = common.GraphThresholdsStyleModeDashed
		}
		defaults.Custom = custom
		built.Options = timeseries.Options{Legend: legend, Tooltip: tooltip}
	case kindTable:
		defaults.Custom = table.FieldConfig{Align: common.FieldTextAlignmentAuto}
		options := table.NewOptions()
		options.Footer = nil // the SDK writes null into it, which its own schema refuses
		built.Options = options
	case kindBars:
		options := bargauge.NewOptions()
		options.DisplayMode, options.Orientation = common.BarGaugeDisplayModeBasic, common.VizOrientationHorizontal
		options.Legend = common.VizLegendOptions{
			DisplayMode: common.LegendDisplayModeList, Placement: common.LegendPlacementBottom, Calcs: []string{},
		}
		// A bar is a row of a table, or else the value of a series.
		_, table := p.queries[0].(*Query)
		reduce.Values = ptr(table)
		options.ReduceOptions = reduce
		built.Options = options
	case kindChart:
		defaults.Custom = barchart.FieldConfig{FillOpacity: ptr(int32(80)), LineWidth: ptr(int32(1))}
		options := barchart.NewOptions()
		options.Orientation, options.Legend, options.Tooltip = common.VizOrientationVertical, legend, tooltip
		options.Legend.ShowLegend = false
		options.XTickLabelMaxLength = 12
		built.Options = options
	case kindLogs:
		built.Options = logs.Options{
			ShowTime: true, WrapLogMessage: true, EnableLogDetails: true, SortOrder: common.LogsSortOrderDescending,
			DedupStrategy: common.LogsDedupStrategyNone,
		}
	case kindTimeline:
		defaults.Mappings = stateMappings()
		defaults.Custom = statetimeline.FieldConfig{FillOpacity: ptr(uint32(80)), LineWidth: ptr(uint32(0))}
		options := statetimeline.NewOptions()
		options.ShowValue, options.Legend, options.Tooltip = common.VisibilityModeNever, legend, tooltip
		built.Options = options
	default:
		return dashboard.Panel{}, fmt.Errorf("panel %q: no such kind: %q", p.title, p.kind)
	}
	built.FieldConfig.Defaults = defaults
	for _, f := range p.fields {
		built.FieldConfig.Overrides = append(built.FieldConfig.Overrides, f.override())
	}
	for _, name := range sortedKeys(p.colors) {
		built.FieldConfig.Overrides = append(built.FieldConfig.Overrides, override(name, dashboard.DynamicConfigValue{
			Id: "color", Value: dashboard.FieldColor{Mode: dashboard.FieldColorModeIdFixed, FixedColor: ptr(p.colors[name])},
		}))
	}
	if p.limits != "" {
		line := override("/"+p.limits+"$/", dashboard.DynamicConfigValue{
			Id: "color", Value: dashboard.FieldColor{Mode: dashboard.FieldColorModeIdFixed, FixedColor: ptr(bad)},
		}, dashboard.DynamicConfigValue{
			Id: "custom.lineStyle", Value: common.LineStyle{Fill: ptr(common.LineStyleFillDash), Dash: []float64{10, 10}},
		}, dashboard.DynamicConfigValue{Id: "custom.fillOpacity", Value: 0})
		line.Matcher.Id = "byRegexp"
		built.FieldConfig.Overrides = append(built.FieldConfig.Overrides, line)
	}
	return built, nil
}

func override(name string, properties ...dashboard.DynamicConfigValue) dashboard.DashboardFieldConfigSourceOverrides {
	return dashboard.DashboardFieldConfigSourceOverrides{
		Matcher: dashboard.MatcherConfig{Id: "byName", Options: name}, Properties: properties,
	}
}

func (f *field) override() dashboard.DashboardFieldConfigSourceOverrides {
	var properties []dashboard.DynamicConfigValue
	add := func(id string, value any) {
		properties = append(properties, dashboard.DynamicConfigValue{Id: id, Value: value})
	}
	if f.unit != "" {
		add("unit", f.unit)
	}
	if f.decimals != nil {
		add("decimals", *f.decimals)
	}
	if f.steps != nil {
		add("thresholds", dashboard.ThresholdsConfig{Mode: dashboard.ThresholdsModeAbsolute, Steps: f.steps})
	}
	if f.states {
		add("mappings", stateMappings())
	}
	if f.steps != nil || f.states {
		cell := map[string]any{"type": "color-background", "mode": "basic"}
		if f.steps != nil {
			cell = map[string]any{"type": "color-text"}
		}
		add("custom.cellOptions", cell)
	}
	if f.link != nil {
		add("links", []dashboard.DashboardLink{*f.link})
	}
	if f.width != 0 {
		add("custom.width", f.width)
	}
	return override(f.name, properties...)
}

// Units by their short names.
const (
	unitNone    = units.Short
	unitShare   = units.PercentUnit
	unitSeconds = units.Seconds
	unitBytes   = units.BytesIEC
	unitRate    = units.CountsPerSecond
	unitText    = "string"
)
