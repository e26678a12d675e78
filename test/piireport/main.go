// Piireport measures the pii processor and contrib's redaction processor on the labelled corpus, in one run and with the
// same code, and prints a table in Markdown.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/redactionprocessor"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/sockeye-project/sockeye/processor/piiprocessor"
	"github.com/sockeye-project/sockeye/processor/piiprocessor/audit"
)

//go:embed contrib.yaml
var contribConfig []byte

func main() {
	corpus := flag.String("corpus", "../../../shared/corpus/pii", "`folder` with the labelled data")
	flag.Parse()
	if err := run(*corpus); err != nil {
		fmt.Fprintln(os.Stderr, "piireport:", err)
		os.Exit(1)
	}
}

func run(folder string) error {
	// One core, also for the collector of garbage.
	runtime.GOMAXPROCS(1)
	contrib, err := newContrib()
	if err != nil {
		return err
	}
	data := corpus{folder: folder, files: map[string][]*audit.Row{}}
	fmt.Println("| what | goal | Sockeye | contrib `redaction` |")
	fmt.Println("| --- | --- | --- | --- |")
	for _, l := range lines {
		var results [2]audit.Share
		for i, redact := range []func(plog.Logs){nil, contrib} {
			if redact == nil {
				redact = newSockeye()
			}
			if results[i], err = l.measure(&data, redact); err != nil {
				return err
			}
		}
		fmt.Printf("| %s | %s | %s | %s |\n", l.what, l.goal, percent(results[0]), percent(results[1]))
	}
	ids, total := national(&data)
	fmt.Printf("| national ids, scheme enabled (`national_ids`) | 90 %% | %s | %s |\n", percent(ids), percent(total))
	rows, err := data.rows("ws-synth")
	if err != nil {
		return err
	}
	var speeds [2]string
	var allocs [2]string
	for i, redact := range []func(plog.Logs){newSockeye(), contrib} {
		mb, n := speed(rows, redact)
		speeds[i], allocs[i] = fmt.Sprintf("%.0f MB/s", mb), fmt.Sprintf("%.1f", n)
	}
	fmt.Printf("| speed through pdata, one core | ≥ 100 MB/s | %s | %s |\n", speeds[0], speeds[1])
	fmt.Printf("| allocations a record | ≤ 2 | %s | %s |\n", allocs[0], allocs[1])
	clean, err := cleanAllocs(rows)
	if err != nil {
		return err
	}
	fmt.Printf("| allocations a record with nothing left to redact | 0 | %.2f | |\n", clean)
	return nil
}

// newSockeye returns the pii processor that scans what it does not know: the harder case.
func newSockeye(ids ...string) func(plog.Logs) {
	cfg := piiprocessor.NewFactory().CreateDefaultConfig().(*piiprocessor.Config)
	cfg.UnknownKeys = "scan"
	cfg.NationalIDs = ids
	r := piiprocessor.NewRedactor(cfg, make([]byte, 32))
	return func(ld plog.Logs) { r.Logs(ld) }
}

func newContrib() (func(plog.Logs), error) {
	retrieved, err := confmap.NewRetrievedFromYAML(contribConfig)
	if err != nil {
		return nil, err
	}
	conf, err := retrieved.AsConf()
	if err != nil {
		return nil, err
	}
	factory := redactionprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig()
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	var p processor.Logs
	ctx := context.Background()
	p, err = factory.CreateLogs(ctx, processortest.NewNopSettings(factory.Type()), cfg, consumertest.NewNop())
	if err != nil {
		return nil, err
	}
	if err := p.Start(ctx, componenttest.NewNopHost()); err != nil {
		return nil, err
	}
	return func(ld plog.Logs) {
		if err := p.ConsumeLogs(ctx, ld); err != nil {
			panic(err)
		}
	}, nil
}

// corpus reads each file once.
type corpus struct {
	folder string
	files  map[string][]*audit.Row
}

func (c *corpus) rows(name string) ([]*audit.Row, error) {
	if rows, ok := c.files[name]; ok {
		return rows, nil
	}
	f, err := os.Open(filepath.Join(c.folder, name+".jsonl.gz"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for row, err := range audit.Rows(f) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		c.files[name] = append(c.files[name], row)
	}
	if len(c.files[name]) == 0 {
		return nil, errors.New(name + ": is empty")
	}
	return c.files[name], nil
}

// line is one line of the table.
type line struct {
	what, goal string
	files      []string
	// types are those whose recall counts; lookAlikes those whose look-alikes count; safe selects safe values. One of
	// the three is set.
	types      []string
	lookAlikes string
	safe       *regexp.Regexp
}

var (
	everything = regexp.MustCompile(``)
	cardLike   = regexp.MustCompile(`^\d{12,19}$`)
	version    = regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+`)
	atSign     = regexp.MustCompile(`@`)
)

var lines = []line{
	{what: "auth, cookie and subprotocol headers", goal: "100 %", files: []string{"ws-synth"}, types: []string{"BEARER", "BASIC", "COOKIE", "SUBPROTO"}},
	{what: "tokens and credentials in URLs", goal: "100 %", files: []string{"ws-synth"}, types: []string{"URL_TOKEN", "URL_CRED"}},
	{what: "JWT anywhere", goal: "99.9 %", files: []string{"ws-synth"}, types: []string{"JWT"}},
	{what: "JWT, gitleaks' set", goal: "98 %", files: []string{"gitleaks"}, types: []string{"JWT"}},
	{what: "passwords by key, nested, in JSON strings", goal: "99.5 %", files: []string{"ws-synth"}, types: []string{"PASSWORD"}},
	{what: "secrets, ws-synth", goal: "99 %", files: []string{"ws-synth"}, types: []string{"SECRET"}},
	{what: "secrets, gitleaks' set", goal: "95 %", files: []string{"gitleaks"}, types: []string{"SECRET"}},
	{what: "e-mail", goal: "99.9 %", files: []string{"ws-synth", "presidio-research", "presidio-tests"}, types: []string{"EMAIL"}},
	{what: "names of packages that look like e-mail, kept", goal: "99.5 %", files: []string{"ws-synth"}, safe: atSign},
	{what: "cards, ws-synth", goal: "99.5 %", files: []string{"ws-synth"}, types: []string{"CARD"}},
	{what: "cards, presidio-research", goal: "99 %", files: []string{"presidio-research"}, types: []string{"CARD"}},
	{what: "numbers that look like cards, kept", goal: "≥ 99 %", files: []string{"ws-synth"}, safe: cardLike},
	{what: "IBAN", goal: "99.5 %", files: []string{"ws-synth", "presidio-research", "presidio-tests"}, types: []string{"IBAN"}},
	{what: "IBAN with wrong check digits, kept", goal: "≥ 99 %", files: []string{"presidio-tests", "dd-sds"}, lookAlikes: "IBAN"},
	{what: "IPv4", goal: "100 %", files: []string{"ws-synth", "presidio-research", "presidio-tests"}, types: []string{"IPV4"}},
	{what: "IPv6", goal: "98 %", files: []string{"ws-synth", "presidio-research", "presidio-tests"}, types: []string{"IPV6"}},
	{what: "versions like 2.4.57.0, kept", goal: "≥ 95 %", files: []string{"ws-synth"}, safe: version},
	{what: "MAC", goal: "99.5 %", files: []string{"ws-synth", "presidio-tests"}, types: []string{"MAC"}},
	{what: "coordinates by key", goal: "100 %", files: []string{"ws-synth"}, types: []string{"GPS"}},
	{what: "phones with a country code", goal: "100 %", files: []string{"ws-synth", "libphonenumber"}, types: []string{"PHONE"}},
	{what: "national phones with a key or a word", goal: "70 %", files: []string{"libphonenumber"}, types: []string{"PHONE_NATIONAL"}},
	{what: "phones in prose", goal: "–", files: []string{"presidio-research"}, types: []string{"PHONE"}},
	{what: "US social security numbers", goal: "–", files: []string{"ws-synth", "presidio-research"}, types: []string{"SSN", "NATID"}},
	{what: "names under known keys", goal: "97 %", files: []string{"ws-synth"}, types: []string{"PERSON"}},
	{what: "**safe values kept**", goal: "**≥ 99.7 %**", files: []string{"ws-synth"}, safe: everything},
}

func (l *line) measure(data *corpus, redact func(plog.Logs)) (sum audit.Share, err error) {
	a := audit.New(redact)
	for _, name := range l.files {
		rows, err := data.rows(name)
		if err != nil {
			return sum, err
		}
		for _, row := range rows {
			selected := *row
			if l.safe != nil {
				selected.Safe = nil
				for _, v := range row.Safe {
					if l.safe.MatchString(v) {
						selected.Safe = append(selected.Safe, v)
					}
				}
			}
			a.Add(&selected)
		}
	}
	report := a.Report()
	switch {
	case l.safe != nil:
		sum = report.SafeKept
	case l.lookAlikes != "":
		sum = report.Type(l.lookAlikes).LookAlikes
	}
	for _, typ := range l.types {
		gone := report.Type(typ).Gone
		sum.Count += gone.Count
		sum.Total += gone.Total
	}
	if sum.Total == 0 {
		return sum, fmt.Errorf("%s: the corpus has none", l.what)
	}
	return sum, nil
}

// idTypes are the types of the corpus that a scheme stands for.
var idTypes = map[string]string{
	"ABA_ROUTING_NUMBER": "us_aba", "AU_ABN": "au_abn", "AU_ACN": "au_acn", "AU_TFN": "au_tfn", "CA_SIN": "ca_sin",
	"DE_HEALTH_INSURANCE": "de_kvnr", "DE_PASSPORT": "de_pass", "DE_ID_CARD": "de_pass", "DE_SOCIAL_SECURITY": "de_svnr",
	"DE_VAT_ID": "de_vat", "ES_NIE": "es_nie", "ES_NIF": "es_dni", "FI_PERSONAL_IDENTITY_CODE": "fi_hetu",
	"IN_AADHAAR": "in_aadhaar", "IN_GSTIN": "in_gstin", "IN_PAN": "in_pan", "IT_FISCAL_CODE": "it_cf",
	"IT_VAT_CODE": "it_piva", "KR_BRN": "kr_brn", "KR_FRN": "kr_rrn", "KR_RRN": "kr_rrn", "MEDICAL_LICENSE": "us_dea",
	"PL_PESEL": "pl_pesel", "SE_ORGANISATIONSNUMMER": "se_pnr", "SE_PERSONNUMMER": "se_pnr", "SG_NRIC_FIN": "sg_nric",
	"TH_TNIN": "th_pin", "TR_NATIONAL_ID": "tr_tckn", "UK_NHS": "uk_nhs", "UK_NINO": "uk_nino", "US_ITIN": "us_itin",
	"US_MBI": "us_mbi", "US_NPI": "us_npi", "ZA_ID_NUMBER": "za_id",
	"DE_LANR": "de_lanr", "KR_PASSPORT": "kr_pass", "SG_UEN": "sg_uen", "UK_DRIVING_LICENCE": "uk_dl",

	"aba_rtn_checksum": "us_aba", "australian_medicare_checksum": "au_medicare", "australian_tfn_checksum": "au_tfn",
	"belgium_national_register_checksum": "be_rrn", "brazilian_cnpj_checksum": "br_cnpj",
	"bulgarian_egn_checksum": "bg_egn", "chinese_id_checksum": "cn_ric", "coordination_number_checksum": "se_pnr",
	"czech_tin_checksum": "cz_rc", "dutch_bsn_checksum": "nl_bsn", "estonia_personal_code_checksum": "ee_ik",
	"finnish_hetu_checksum": "fi_hetu", "france_nif_checksum": "fr_nif", "france_ssn_checksum": "fr_nir",
	"german_ids_checksum": "de_pass", "german_svnr_checksum": "de_svnr", "greece_amka_checksum": "gr_amka",
	"greece_tin_checksum": "gr_afm", "hungarian_tin_checksum": "hu_tin", "irish_pps_checksum": "ie_pps",
	"italian_national_id_checksum": "it_cf", "luxembourg_individual_nin_checksum": "lu_nin", "nhs_check_digit": "uk_nhs",
	"nir_checksum": "fr_nir", "polish_national_id_checksum": "pl_pesel", "polish_nip_checksum": "pl_nip",
	"portuguese_tax_id_checksum": "pt_nif", "rodne_cislo_checksum": "cz_rc", "romanian_personal_numeric_code": "ro_cnp",
	"singapore_nric_checksum": "sg_nric", "slovenia_tin_checksum": "si_tin", "slovenian_pin_checksum": "si_emso",
	"spain_dni_checksum": "es_dni", "spanish_nuss_checksum": "es_nuss", "sweden_pin_checksum": "se_pnr",
	"uk_nino_format_check": "uk_nino", "uk_trn_checksum": "uk_utr", "us_dea_checksum": "us_dea",
}

// national measures each type with its scheme alone enabled, and contrib, which has none.
func national(data *corpus) (ours, theirs audit.Share) {
	contrib, err := newContrib()
	if err != nil {
		panic(err)
	}
	auditors := map[string]*audit.Auditor{}
	other := audit.New(contrib)
	for _, name := range []string{"presidio-tests", "dd-sds"} {
		rows, err := data.rows(name)
		if err != nil {
			panic(err)
		}
		for _, row := range rows {
			if len(row.Spans) == 0 {
				continue
			}
			typ, isID := strings.CutPrefix(row.Spans[0].Type, "NATID:")
			scheme := idTypes[typ]
			if !isID || scheme == "" {
				continue
			}
			if auditors[scheme] == nil {
				auditors[scheme] = audit.New(newSockeye(scheme))
			}
			auditors[scheme].Add(row)
			other.Add(row)
		}
	}
	for _, a := range auditors {
		add(&ours, a.Report())
	}
	add(&theirs, other.Report())
	return ours, theirs
}

func add(sum *audit.Share, r *audit.Report) {
	for _, t := range r.Types {
		sum.Count += t.Gone.Count
		sum.Total += t.Gone.Total
	}
}

func percent(s audit.Share) string { return fmt.Sprintf("%.1f %% of %d", s.Percent(), s.Total) }

func batch(rows []*audit.Row) (ld plog.Logs, size int) {
	ld = plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for i, row := range rows {
		row.Record(records.AppendEmpty())
		size += len(audit.Flat(records.At(i)))
	}
	return ld, size
}

// speed returns megabytes a second of processor time and allocations a record. Copying the data is not counted.
func speed(rows []*audit.Row, redact func(plog.Logs)) (megabytes, allocs float64) {
	source, size := batch(rows)
	var spent time.Duration
	var mallocs uint64
	n := 0
	for n < 5 || spent < 2*time.Second {
		ld := plog.NewLogs()
		source.CopyTo(ld)
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := processorTime()
		redact(ld)
		spent += processorTime() - start
		runtime.ReadMemStats(&after)
		mallocs += after.Mallocs - before.Mallocs
		n++
	}
	return float64(n) * float64(size) / 1e6 / spent.Seconds(), float64(mallocs) / float64(n*len(rows))
}

// cleanAllocs measures on what is left after one redaction.
func cleanAllocs(rows []*audit.Row) (float64, error) {
	source, _ := batch(rows)
	redact := newSockeye()
	redact(source)
	text := source.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	if text.Len() != len(rows) {
		return 0, errors.New("records were lost")
	}
	ld := plog.NewLogs()
	source.CopyTo(ld)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	redact(ld)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(len(rows)), nil
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
