// Sloreport measures a tick of the SLO engine, and Prometheus evaluating the rules that Sloth writes for the same SLOs, and
// prints one table in Markdown.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sloreport:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(w io.Writer) error {
	began := time.Now()
	ours, err := bench("./extension/sloextension", "SLOTick", "5x")
	if err != nil {
		return err
	}
	sloths, err := bench("./test/oracle", "SlothRound", "2x")
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "| SLOs | a tick: collector | store | together | the first tick | a mixed set: a tick | its first "+
		"| Prometheus, a round | its first |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, n := range []string{"10", "100", "1000", "10000"} {
		plain, mixed, theirs := ours["plain/SLOs="+n], ours["mixed/SLOs="+n], sloths["SLOs="+n]
		if theirs == nil {
			// The recorded history of all of them would take an hour to write; a tenth of them is what was measured.
			theirs = map[string]float64{}
			for unit, v := range sloths["SLOs=1000"] {
				theirs[unit] = 10 * v
			}
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", n, cell(plain, "collector-cpu-s/tick"),
			cell(plain, "store-cpu-s/tick"), cell(plain, "cpu-s/tick"), cell(plain, "first-cpu-s"), cell(mixed, "cpu-s/tick"),
			cell(mixed, "first-cpu-s"), cell(theirs, "cpu-s/round"), cell(theirs, "first-cpu-s"))
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nCPU-seconds, user and system. Of the rules of 10,000 SLOs, Prometheus evaluated a tenth, "+
		"and the figure is ten times that.\nMeasured in %s; load at the end %s.\n", time.Since(began).Round(time.Second), strings.Join(strings.Fields(string(load))[:3], ", "))
	return nil
}

func cell(metrics map[string]float64, unit string) string {
	v, ok := metrics[unit]
	if !ok {
		return "-"
	}
	if v < 1 {
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

var line = regexp.MustCompile(`^Benchmark\w+/(\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// bench runs a benchmark and returns the metrics of each of its parts.
func bench(pkg, name, times string) (map[string]map[string]float64, error) {
	command := exec.Command("go", "test", "-run", "^$", "-bench", name+"$", "-benchtime", times, "-timeout", "2h", pkg)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	found := map[string]map[string]float64{}
	var text bytes.Buffer
	for lines := bufio.NewScanner(io.TeeReader(out, &text)); lines.Scan(); {
		m := line.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		fmt.Fprintln(os.Stderr, lines.Text())
		metrics := map[string]float64{}
		fields := strings.Fields(m[2])
		for i := 0; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				metrics[fields[i+1]] = v
			}
		}
		found[m[1]] = metrics
	}
	if err := command.Wait(); err != nil {
		return nil, fmt.Errorf("%s of %s: %w\n%s", name, pkg, err, text.Bytes())
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s of %s measured nothing\n%s", name, pkg, text.Bytes())
	}
	return found, nil
}
