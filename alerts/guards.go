package alerts

import (
	"fmt"
	"strings"

	"github.com/sockeye-project/sockeye/slo"
)

// guards records, for each long window, whether its bad events are too many for an accident.
func (w *writer) guards() {
	if !w.slo.Guarded() {
		return
	}
	least := map[string]slo.Number{}
	for _, r := range w.alertsOn() {
		if burn, ok := least[r.Long]; !ok || r.Burn.Cmp(burn) < 0 {
			least[r.Long] = r.Burn
		}
	}
	for _, window := range slo.BurnWindows() {
		burn, ok := least[window.Name]
		if !ok {
			continue
		}
		w.record(recordBeyond, window.Name, w.guard(window.Name, burn))
	}
}

// guard compares the judged events with what so many bad ones allow. Each step adds what one more bad event allows, so
// the sum is the last step that is reached.
func (w *writer) guard(window string, burn slo.Number) string {
	steps, endless := w.slo.GuardSteps(burn)
	// Counters rise by what is extrapolated.
	bad, judged := "round("+w.of(recordBad, window)+")", "round("+w.of(recordJudged, window)+")"
	var terms []string
	allowed := uint64(0)
	for _, step := range steps {
		if step.Judged > allowed {
			terms = append(terms, fmt.Sprintf("%d * (%s >= bool %d)", step.Judged-allowed, bad, step.Bad))
			allowed = step.Judged
		}
	}
	if endless {
		last := steps[len(steps)-1]
		beyond := fmt.Sprintf("clamp_min(%s, %d)", bad, last.Bad)
		terms = append(terms, fmt.Sprintf("(%s > bool %d) * clamp_min(%s - %d, 0)", bad, last.Bad, w.slo.GuardTail(beyond),
			allowed))
	}
	return judged + " <= bool (\n  " + strings.Join(terms, "\n  + ") + "\n)"
}
