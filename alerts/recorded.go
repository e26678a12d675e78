package alerts

// Names of recorded series for those who query them, such as dashboards. Behind each stands a window's name, such as 1h; behind
// [RecordObjective] nothing. All have the labels [RecordService] and [RecordSLO].
const (
	RecordJudged    = recordJudged
	RecordBad       = recordBad
	RecordRatio     = recordRatio
	RecordCoverage  = recordCoverage
	RecordNoTraffic = recordNoTraffic
	RecordRemaining = recordRemaining
	RecordObjective = recordObjective

	RecordService = "service"
	RecordSLO     = "slo"
)
