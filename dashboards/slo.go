package dashboards

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/sockeye-project/sockeye/slo"
	"github.com/sockeye-project/sockeye/store/schema"
)

// written is the rows of the range, the last written of each evaluation. $__timeInterval may hold several evaluations: the last
// one speaks for them.
func written(columns, of string) string {
	return fmt.Sprintf(`SELECT %s, slo, %s
FROM %s FINAL
WHERE $__timeFilter(asof)
  AND %s
GROUP BY time, slo
ORDER BY time, slo`, timeOf("asof"), columns, schema.SLOStatus, of)
}

// sloOverviewBoard answers: how do all promises stand, and how did they over time?
func sloOverviewBoard() board {
	variables := clickhouseVariables(varService)
	variables[0] = several(variables[0], "")
	services := anyOf(schema.Service, varService)
	table := sloTable(16)
	table.title, table.h = "SLOs of all services", 10
	table.queries = rows(statuses(services, "service, slo"), "service", "slo", "state", "severity", "objective",
		"budget left",
		"burn 5m", "burn 1h", "burn 6h", "age")
	table.fields[0].link = ClickHouse.opensSLO("${__data.fields.service}", "${__value.raw}")
	state := func(title string, states ...slo.State) panel {
		text := ""
		for i, s := range states {
			if i > 0 {
				text += ", "
			}
			text += "'" + string(s) + "'"
		}
		return panel{
			kind: kindStat, title: "SLOs " + title, w: 5, h: 4, unit: unitNone, decimals: ptr(0.0), empty: "0",
			steps: []dashboard.Threshold{base(good), from(1, stateColors[states[0]])},
			opens: ClickHouse.opens(onCall, "On-call"),
			asks:  "How many SLOs of the chosen services are " + title + " now?",
			do:    "The table below has them first. Open one for its burn rates, incidents and history.",
			queries: rows(fmt.Sprintf(`SELECT countIf(state IN (%s)) AS slos
FROM (
  SELECT service, slo, state
  FROM %s
  WHERE asof > $__toTime - INTERVAL 1 DAY AND asof <= $__toTime
    AND %s
  ORDER BY service, slo, asof DESC, written DESC
  LIMIT 1 BY service, slo
)`, text, schema.SLOStatus, services), "slos"),
		}
	}
	named := func(sql string) string {
		return "SELECT time, concat(service, ' / ', slo) AS name, value FROM (" + sql + ")"
	}
	each := func(column string) string {
		return named(fmt.Sprintf(`
  SELECT %s, service, slo, argMax(%s, (asof, written)) AS value
  FROM %s
  WHERE $__timeFilter(asof)
    AND %s
  GROUP BY time, service, slo
  ORDER BY time, service, slo
`, timeOf("asof"), column, schema.SLOStatus, services))
	}
	return board{
		name: sloOverview, title: "Sockeye / SLOs", from: "7d", refresh: "1m",
		about: "For owners of promises: how all SLOs stand, and how they did over time. Everything is what the SLO " +
			"engine wrote, with the counts it used.",
		variables: variables, annotations: annotations(services),
		rows: []row{
			{"Now", []panel{
				state("exhausted", slo.StateExhausted), state("burning", slo.StateBurning),
				state("unknown", slo.StateNoData, slo.StateLowCoverage), state("without traffic", slo.StateNoTraffic),
				ageOfData(ClickHouse.opens(onCall, "On-call")), table,
			}},
			{"Over time", []panel{
				{
					kind: kindTimeline, title: "States", w: gridWidth, h: 9, unit: unitText, interval: "5m",
					series: "${__field.labels.name}", empty: "no SLOs",
					asks: "When was each SLO in which state?",
					do: "Stretches that begin together have one cause: compare with deploys of that time. Much grey means " +
						"that sources fail, not services.",
					queries: series(each("state"), "time", "name", "value"),
				},
				{
					kind: kindSeries, title: "Budget left", w: gridWidth, h: 9, unit: unitShare, decimals: ptr(1.0), interval: "5m",
					dashed: true,
					steps:  []dashboard.Threshold{base(bad), from(0, serious), from(0.25, warning)},
					series: "${__field.labels.name}", empty: "no SLOs",
					asks: "Which budgets shrink, and do they shrink in steps or steadily?",
					do: "Steps are incidents: prevent the next. A steady slope is a fault that nobody is paged for: find it " +
						"in Debug.",
					queries: series(each("budget_remaining"), "time", "name", "value"),
				},
			}},
		},
	}
}

// sloDetailBoard answers: what is it with this one promise?
func sloDetailBoard() board {
	of := and(one(schema.Service, varService), one("slo", varSLO))
	last := func(expression, name string) string {
		return fmt.Sprintf(`SELECT %s AS "%s"
FROM %s
WHERE asof > $__toTime - INTERVAL 1 DAY AND asof <= $__toTime
  AND %s
ORDER BY asof DESC, written DESC
LIMIT 1`, expression, name, schema.SLOStatus, of)
	}
	burnPanel := panel{
		kind: kindSeries, title: "Burn rates", w: 16, h: 10, unit: unitNone, decimals: ptr(2.0), dashed: true,
		interval: "1m", empty: "no traffic",
		steps:  burnThresholds(),
		series: "${__field.labels.window}",
		asks: "How many times faster than allowed is the budget spent, over each window? At 1 it lasts exactly as " +
			"long as its window. Dashed: where alerts begin.",
		do: "An alert needs its long and its short window above the line. If the short one is below again, the " +
			"cause has ended and the alert will.",
		queries: series(fmt.Sprintf(`SELECT $__timeInterval(asof) AS time, tupleElement(w, 'name') AS window,
  argMax((tupleElement(w, 'judged') - tupleElement(w, 'good')) / nullIf(tupleElement(w, 'judged'),
    0) / (1 - toFloat64OrZero(objective)), (asof, written)) AS burn
FROM %s
ARRAY JOIN windows AS w
WHERE $__timeFilter(asof)
  AND %s
GROUP BY time, window, tupleElement(w, 'seconds')
ORDER BY time, tupleElement(w, 'seconds')`, schema.SLOStatus, of), "time", "window", "burn"),
	}
	return board{
		name: sloDetail, title: "Sockeye / SLO detail", from: "7d", refresh: "1m",
		about:       "For whoever follows an alert: one SLO with its budget, burn rates, counts and incidents.",
		variables:   clickhouseVariables(varService, varSLO),
		annotations: annotations(one(schema.Service, varService)),
		rows: []row{
			{"$slo of $service", []panel{
				{
					kind: kindTimeline, title: "State", w: gridWidth, h: 3, unit: unitText, interval: "1m", series: "state",
					empty:   "no evaluations",
					asks:    "In which state was it, and since when?",
					do:      "Move the time range to where the colour changes: everything below then shows what happened there.",
					queries: series(written("argMax(state, (asof, written)) AS state", of), "time", "slo", "state"),
				},
				{
					kind: kindStat, title: "Budget left", w: 6, h: 4, unit: unitShare, decimals: ptr(3.0), steps: budgetSteps,
					opens:   ClickHouse.opens(onCall, "On-call"),
					asks:    "How much failure is still allowed in the budget's window? Below zero, the promise is broken.",
					do:      "Negative: stop what can wait and repair. A click opens what is wrong now.",
					queries: rows(last("budget_remaining", "budget left"), "budget left"),
				},
				{
					kind: kindStat, title: "Objective", w: 4, h: 4, unit: unitShare, decimals: ptr(3.0),
					opens: ClickHouse.opens(onCall, "On-call"), empty: "no evaluations",
					asks:    "What is promised?",
					do:      "It stands in the SLO's document. Change it there, with whoever was promised it.",
					queries: rows(last("toFloat64OrZero(objective)", "objective"), "objective"),
				},
				{
					kind: kindStat, title: "Good of judged events", w: 6, h: 4, unit: unitShare, decimals: ptr(4.0),
					opens:   ClickHouse.opens(onCall, "On-call"),
					asks:    "What was kept over the budget's window? Exact: good events divided by those that could be judged.",
					do:      "Below the objective, the budget is gone. The counts beside say how much traffic that was.",
					queries: rows(last("1 - error_ratio", "good"), "good"),
				},
				{
					kind: kindStat, title: "Bad events", w: 4, h: 4, unit: unitNone, decimals: ptr(0.0),
					asks:    "How many events of the budget's window were bad?",
					do:      "A handful: read each in Debug. Thousands: look for the one cause that most share.",
					opens:   ClickHouse.opens(debug, "Debug"),
					queries: rows(last("judged - good", "bad"), "bad"),
				},
				{
					kind: kindStat, title: "Coverage", w: 4, h: 4, unit: unitShare, decimals: ptr(3.0), steps: above(0.95),
					opens: ClickHouse.opens(debug, "Debug"),
					asks:  "What share of the events could be judged at all?",
					do: "Below 95 %, the state is low_coverage: a source does not say how events ended. Fix its log format " +
						"before you trust the rest.",
					queries: rows(last("coverage", "coverage"), "coverage"),
				},
			}},
			{"Budget", []panel{
				{
					kind: kindSeries, title: "Budget left over time", w: 8, h: 10, unit: unitShare, decimals: ptr(2.0),
					interval: "1m", dashed: true, empty: "no evaluations",
					steps: []dashboard.Threshold{base(bad), from(0, serious), from(0.25, warning)}, series: "budget left",
					asks:    "Is the budget spent in steps or steadily?",
					do:      "Steps are incidents, listed below. A steady slope is a fault that nobody is paged for.",
					queries: series(written("argMax(budget_remaining, (asof, written)) AS remaining", of), "time", "slo", "remaining"),
				},
				burnPanel,
			}},
			{"What happened", []panel{
				withHeight(incidentTable(12, of), 9),
				{
					kind: kindTable, title: "Budget events", w: 12, h: 9, unit: unitNone, empty: "none",
					fields: []field{{name: "spent", unit: "percent"}},
					asks:   "When did the budget pass a mark, run out or recover?",
					do: "Marks in quick succession are one incident. A budget that recovers without a repair only forgot: " +
						"its window moved on.",
					queries: rows(fmt.Sprintf(`SELECT asof AS at, kind AS what, spent, judged - good AS bad, judged
FROM %s FINAL
WHERE $__timeFilter(asof)
  AND %s
  AND stream = 'budget'
ORDER BY at DESC, sequence DESC
LIMIT 100`, schema.SLOEvents, of), "at", "what", "spent", "bad", "judged"),
				},
			}},
			{"Can I believe it", []panel{ageOfData(ClickHouse.opens(onCall, "On-call"))}},
		},
	}
}

// burnThresholds are the lines at which the standard alerts begin, in the colour of their severity.
func burnThresholds() []dashboard.Threshold {
	colors := map[float64]string{}
	for _, r := range slo.StandardRules() {
		color := warning
		if r.Severity == slo.SeverityPage {
			color = bad
		}
		colors[r.Burn.Float64()] = color
	}
	steps := []dashboard.Threshold{base(good)}
	for _, b := range sortedKeys(colors) {
		steps = append(steps, from(b, colors[b]))
	}
	return steps
}
