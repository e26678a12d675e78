package slo

import (
	"math"
	"math/big"
	"time"
)

// Forecast says when a budget will be exhausted, if the time to come is like the time it is drawn from: within [Earliest,
// Latest] with the confidence that [ForecastConfidence] names. Latest is zero where it may well never be.
type Forecast struct {
	Earliest time.Time `json:"earliest"`
	Expected time.Time `json:"expected,omitzero"`
	Latest   time.Time `json:"latest,omitzero"`
	// Over is the window that the rate is taken from.
	Over string `json:"over"`
}

// ForecastConfidence is how often the interval of a forecast is to hold the moment of exhaustion.
const ForecastConfidence = 0.9

// forecastZ is the normal quantile that leaves 5 % on either side.
const forecastZ = 1.6448536269514722

// NewForecast predicts when the budget that is left will be spent, by how it was spent over the 6 hours, the day and the
// three days before. It returns false where nothing is left, nothing burns, or nothing is known.
//
// The budget spent in a time to come is taken as normal, with the mean of the window of those three that burned fastest,
// since what burns now does not stop for an average. Its variance has two sources: the bad events of the time to come,
// and the rate itself, known from as many bad events as the window had. Bad events come in bursts, so both are those of
// a Poisson process times a dispersion: how much the three windows disagree, at least 1. Exhaustion is where the band
// of the spent budget crosses what is left. What leaves a rolling window meanwhile is not given back, so that the
// forecast of one is early rather than late.
func NewForecast(s *SLO, st *Status) (Forecast, bool) {
	if st.State == StateNoData || s.Unbudgeted || !s.countsEvents() || !st.Remaining.Valid() ||
		st.Remaining.rat.Sign() <= 0 {
		return Forecast{}, false
	}
	var fastest WindowStatus
	var rates []WindowStatus
	for _, w := range st.Windows {
		if w.Name != "6h" && w.Name != "1d" && w.Name != "3d" || w.Seconds == 0 {
			continue
		}
		rates = append(rates, w)
		if bad := float64(w.Judged-w.Good) / float64(w.Seconds); bad > 0 && bad >= rate(fastest) {
			fastest = w
		}
	}
	if fastest.Seconds == 0 {
		return Forecast{}, false
	}
	// How many bad events are left: those that the window allows, less those that it has had.
	left := new(big.Rat).Mul(st.Remaining.rat, s.budget())
	left.Mul(left, new(big.Rat).SetInt(new(big.Int).SetUint64(st.Window.Judged)))
	allowed, _ := left.Float64()

	seconds, bad := float64(fastest.Seconds), float64(fastest.Judged-fastest.Good)
	spread := dispersion(rates)
	at := func(t float64) time.Time {
		const most = 10 * 365 * 24 * 3600
		if math.IsInf(t, 0) || math.IsNaN(t) || t > most {
			return time.Time{}
		}
		return st.AsOf.Add(time.Duration(t * float64(time.Second))).Truncate(time.Second)
	}
	f := Forecast{
		Earliest: at(crossing(bad/seconds, seconds, allowed, spread, forecastZ)),
		Expected: at(allowed * seconds / bad),
		Latest:   at(crossing(bad/seconds, seconds, allowed, spread, -forecastZ)),
		Over:     fastest.Name,
	}
	if s.Calendar != nil {
		_, end := s.Calendar.Period(st.AsOf)
		// The next period has a budget of its own.
		if !f.Earliest.Before(end) {
			return Forecast{}, false
		}
		for _, t := range []*time.Time{&f.Expected, &f.Latest} {
			if !t.Before(end) {
				*t = time.Time{}
			}
		}
	}
	return f, !f.Earliest.IsZero()
}

func rate(w WindowStatus) float64 {
	if w.Seconds == 0 {
		return 0
	}
	return float64(w.Judged-w.Good) / float64(w.Seconds)
}

// dispersion compares the parts that the nested windows consist of: how far the bad events of each are from what the mean
// rate gives, in units of a Poisson process's variance. At least 1.
func dispersion(nested []WindowStatus) float64 {
	if len(nested) == 0 {
		return 1
	}
	longest := nested[len(nested)-1]
	mean := rate(longest)
	sum, parts := 0.0, 0
	var before WindowStatus
	for _, w := range nested {
		seconds := float64(w.Seconds - before.Seconds)
		bad := float64(w.Judged-w.Good) - float64(before.Judged-before.Good)
		if expected := mean * seconds; expected > 0 {
			sum += (bad - expected) * (bad - expected) / expected
			parts++
		}
		before = w
	}
	if parts < 2 {
		return 1
	}
	return max(1, sum/float64(parts-1))
}

// crossing is when a mean rate of bad events, known from so many seconds, has made as many as are allowed, z standard
// deviations early: rate·t + z·√(spread·rate·t·(1 + t/seconds)) = allowed. Infinite if it never has.
func crossing(rate, seconds, allowed, spread, z float64) float64 {
	// Squared: (allowed − rate·t)² = z²·spread·rate·(t + t²/seconds), whose smaller root is the early crossing and whose
	// larger one the late.
	k := z * z * spread * rate
	a := rate*rate - k/seconds
	b := -(2*allowed*rate + k)
	c := allowed * allowed
	root := math.Sqrt(b*b - 4*a*c)
	if z > 0 {
		return 2 * c / (-b + root)
	}
	if a <= 0 {
		return math.Inf(1)
	}
	return (-b + root) / (2 * a)
}
