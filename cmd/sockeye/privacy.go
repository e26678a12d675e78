package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/service/pipelines"
)

// A component sees its own settings only, so that nobody but the command can tell whether events reach a queue, a log or a
// store before the pii processor has redacted them. privacyConverter refuses such a configuration wherever the collector
// reads one: at the start, when it is reloaded, and in validate.
type privacyConverter struct{}

func newPrivacyConverter(confmap.ConverterSettings) confmap.Converter { return privacyConverter{} }

func (privacyConverter) Convert(_ context.Context, conf *confmap.Conf) error {
	if found := append(examinePrivacy(conf), examineCredentials(conf)...); len(found) > 0 {
		return found
	}
	return nil
}

// examineCredentials returns the URLs with a password that exporters would write into their errors, and so into the log.
// Ours does not.
func examineCredentials(conf *confmap.Conf) (found faults) {
	var walk func(key string, value any)
	walk = func(key string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for name, member := range value {
				walk(key+"."+name, member)
			}
		case []any:
			for _, item := range value {
				walk(key, item)
			}
		case string:
			if u, err := url.Parse(value); err == nil && u.Host != "" && u.User != nil {
				found = append(found, fault{key: key, text: "must not hold a user or a password, which this exporter " +
					"writes into the log when it fails; use its headers or an authenticator"})
			}
		}
	}
	exporters, _ := conf.Get("exporters").(map[string]any)
	for name, settings := range exporters {
		if typ, _, _ := strings.Cut(name, "/"); typ != eventExporter {
			walk("exporters."+name, settings)
		}
	}
	return found
}

// examineSamples returns what lets samples of payloads into another place than the table that few may read, or there as they
// came.
func examineSamples(conf *confmap.Conf, all pipelines.Config) (found faults) {
	for id, p := range all {
		if id.Signal() != pipeline.SignalLogs || !slices.ContainsFunc(p.Receivers, func(r component.ID) bool {
			return r.Type().String() == "websocketendpoint" && isOn(conf, "receivers", r.String(), "payload_samples", "enabled")
		}) {
			continue
		}
		key := "service.pipelines." + id.String()
		for _, exporter := range p.Exporters {
			if typ := exporter.Type().String(); typ != eventExporter && typ != nothing {
				found = append(found, fault{key: key + ".exporters", text: fmt.Sprintf(
					"%q gets samples of payloads, which may only go to %s; turn payload_samples off, or take it away", exporter, eventExporter)})
			}
		}
		for _, processor := range p.Processors {
			if isRedactor(processor) && isOn(conf, "processors", processor.String(), "insecure_observe") {
				found = append(found, fault{key: key + ".processors", text: fmt.Sprintf(
					"%q leaves samples of payloads as they came; turn payload_samples off, or insecure_observe", processor)})
			}
		}
	}
	return found
}

// The components that the rules are about.
const (
	redactor      = "pii"
	eventExporter = "websocketclickhouse"
	// counter is the connector that keeps dimensions of events, and makes metrics of them.
	counter = "websocketsli"
	// nothing is the exporter that forgets what it gets.
	nothing = "nop"
)

// eventReceivers are those that make events themselves.
var eventReceivers = []string{"websocketlog", "websocketendpoint"}

// care is what a processor needs so that it may stand before pii.
type care uint8

const (
	// careless processors hold nothing and log nothing of what they see.
	careless care = iota
	// notAtDebug ones log values, or whole records, when the collector logs at level debug.
	notAtDebug
	// onlySilent ones do that too, and quote values in the errors of statements unless their error_mode is silent.
	onlySilent
	// notBefore ones hold events.
	notBefore
)

// cares has the processors of this binary. Another one may do anything.
var cares = map[string]care{
	"memory_limiter": careless, "websocketevent": careless, "attributes": notAtDebug, "filter": onlySilent, "transform": onlySilent, "batch": notBefore,
}

// examinePrivacy returns what lets events out before pii has redacted them. Pipelines that carry no events pass, whatever
// they do: events come from our receiver, or from one that feeds pii or our exporter in another pipeline of the signal.
func examinePrivacy(conf *confmap.Conf) faults {
	all, ok := pipelinesOf(conf)
	if !ok {
		return nil
	}
	maps.DeleteFunc(all, func(_ pipeline.ID, p *pipelines.PipelineConfig) bool { return p == nil })
	found := examineSamples(conf, all)
	for id, receiver := range unredacted(all) {
		p, key := all[id], "service.pipelines."+id.String()
		at := slices.IndexFunc(p.Processors, isRedactor)
		if at < 0 {
			for _, exporter := range p.Exporters {
				if exporter.Type().String() != nothing && (isType(counter)(exporter) || !isConnector(all, exporter)) {
					found = append(found, fault{key: key + ".exporters", text: fmt.Sprintf(
						"%q gets what %q received and no pii processor has redacted; put one first in the processors of this pipeline",
						exporter, receiver)})
				}
			}
			continue
		}
		for _, processor := range p.Processors[:at] {
			if why, remedy := objection(conf, processor); why != "" {
				found = append(found, fault{key: key + ".processors", text: fmt.Sprintf(
					"%q %s before %q has redacted them; put it after that%s", processor, why, p.Processors[at], remedy)})
			}
		}
	}
	return found
}

// pipelinesOf reads the pipelines. Not ok means that they are malformed, which the collector reports itself.
func pipelinesOf(conf *confmap.Conf) (all pipelines.Config, ok bool) {
	sub, err := conf.Sub("service" + confmap.KeyDelimiter + "pipelines")
	ok = err == nil && sub.Unmarshal(&all) == nil
	return all, ok
}

// unredacted returns the pipelines that get events which are not redacted yet, each with the receiver they come from.
func unredacted(all pipelines.Config) map[pipeline.ID]component.ID {
	type source struct {
		signal   pipeline.Signal
		receiver component.ID
	}
	sources := map[source]bool{}
	for id, p := range all {
		events := slices.ContainsFunc(p.Processors, isRedactor) || slices.ContainsFunc(p.Exporters, isType(eventExporter))
		for _, receiver := range p.Receivers {
			if events && !isConnector(all, receiver) || slices.Contains(eventReceivers, receiver.Type().String()) {
				sources[source{id.Signal(), receiver}] = true
			}
		}
	}
	found := map[pipeline.ID]component.ID{}
	for id, p := range all {
		for _, receiver := range p.Receivers {
			if sources[source{id.Signal(), receiver}] {
				found[id] = receiver
			}
		}
	}
	// A connector hands on what a pipeline without pii gives it, also from one signal to another.
	for before := -1; before != len(found); {
		before = len(found)
		for id := range found {
			if slices.ContainsFunc(all[id].Processors, isRedactor) {
				continue
			}
			for next, p := range all {
				for _, receiver := range p.Receivers {
					if _, known := found[next]; !known && !isType(counter)(receiver) && slices.Contains(all[id].Exporters, receiver) {
						found[next] = receiver
					}
				}
			}
		}
	}
	return found
}

func isType(typ string) func(component.ID) bool {
	return func(id component.ID) bool { return id.Type().String() == typ }
}

func isRedactor(id component.ID) bool { return isType(redactor)(id) }

// isConnector reports whether one pipeline exports to id and another receives from it.
func isConnector(all pipelines.Config, id component.ID) bool {
	receives, exports := false, false
	for _, p := range all {
		receives = receives || slices.Contains(p.Receivers, id)
		exports = exports || slices.Contains(p.Exporters, id)
	}
	return receives && exports
}

// objection says what a processor before pii does with events that it must not, and the remedy besides moving it.
func objection(conf *confmap.Conf, processor component.ID) (why, remedy string) {
	needs, known := cares[processor.Type().String()]
	switch {
	case !known:
		return "may hold or log events", ""
	case needs == notBefore:
		return "holds events", ""
	case needs >= notAtDebug && strings.EqualFold(setting(conf, "service", "telemetry", "logs", "level"), "debug"):
		return "logs events at level debug", ", or take another level for service.telemetry.logs"
	case needs == onlySilent && setting(conf, "processors", processor.String(), "error_mode") != "silent":
		return "logs values of events when a statement fails", ", or give it error_mode: silent"
	}
	return "", ""
}

func isOn(conf *confmap.Conf, path ...string) bool {
	on, _ := conf.Get(strings.Join(path, confmap.KeyDelimiter)).(bool)
	return on
}

func setting(conf *confmap.Conf, path ...string) string {
	text, _ := conf.Get(strings.Join(path, confmap.KeyDelimiter)).(string)
	return text
}
