package redact

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSchemes uses numbers that the bodies behind the schemes publish as examples, or that were made for tests.
func TestSchemes(t *testing.T) {
	t.Parallel()
	examples := map[string]string{
		"ar_cuit": "20055361682", "ch_ahv": "7569217076985", "cl_rut": "125319092", "de_lanr": "123456601",
		"hk_id": "A1234563", "hr_oib": "33392005961", "is_kt": "1201743399", "jp_mn": "621498320257", "kr_pass": "M123A4567",
		"mx_curp": "BOXW310820HNERXN09", "no_fnr": "15108695088", "sg_uen": "53125226D",
		"tw_id": "A123456789", "uk_dl": "SMITH851010AB1CD",
		"at_svnr": "1237010180", "au_abn": "51824753556", "au_acn": "000000180", "au_medicare": "2123456701",
		"au_tfn": "876543210", "be_rrn": "85073003328", "bg_egn": "8001010008", "br_cnpj": "00623904000173",
		"br_cpf": "11144477735", "ca_sin": "130692544", "cn_ric": "513231200012121673", "cz_rc": "6809115566",
		"de_idnr": "86095742719", "de_kvnr": "A123456780", "de_pass": "C01234565", "de_svnr": "65070803A019",
		"de_vat": "DE136695976", "ee_ik": "49305050799", "es_dni": "12345678Z", "es_nie": "Y8063915Z",
		"es_nuss": "281234577843", "fi_hetu": "0101010101", "fr_nif": "3023217600053", "fr_nir": "151024610204325",
		"gr_afm": "094259216", "gr_amka": "01019000015", "hu_tin": "8234567896", "ie_pps": "6433435FW",
		"in_aadhaar": "312345678909", "in_gstin": "27ABCDE1234F1Z5", "in_pan": "ABCPE1234F", "it_cf": "MRTMTT91D08F205J",
		"it_piva": "01333550323", "kr_brn": "1048656659", "kr_rrn": "9601211234567", "lu_nin": "1966051507682",
		"nl_bsn": "111222333", "pl_nip": "3928621931", "pl_pesel": "44051401359", "pt_nif": "248915967",
		"ro_cnp": "1860524161231", "se_pnr": "8112289874", "sg_nric": "S2740116C", "si_emso": "0101006500006",
		"si_tin": "15012557", "th_pin": "4567890123459", "tr_tckn": "10000000146", "uk_nhs": "9434765919",
		"uk_nino": "AB123456C", "uk_utr": "1123456789", "us_aba": "121000248", "us_dea": "AB9999991",
		"us_itin": "911701234", "us_mbi": "1EG4TE5MK73", "us_npi": "1245319599", "us_ssn": "610895223",
		"za_id": "8001015009087",
	}
	names := make([]string, 0, len(schemes))
	for _, scheme := range Schemes() {
		names = append(names, scheme.Name)
		t.Run(scheme.Name, func(t *testing.T) {
			t.Parallel()
			example, ok := examples[scheme.Name]
			require.True(t, ok, "a scheme needs an example")
			s := scanner(t, func(set *Settings) { set.NationalIDs = []string{scheme.Name} })
			out, _ := s.Text("x " + example + " y")
			require.Equal(t, "x [national-id] y", out)
			// One that is wrong: another last character, except where nothing depends on it.
			if slices.Contains([]string{"in_gstin", "in_pan", "kr_rrn", "us_itin", "us_mbi", "us_ssn", "uk_nino", "at_svnr", "au_medicare",
				"de_lanr", "is_kt", "kr_pass", "uk_dl"}, scheme.Name) {
				return
			}
			wrong := []byte(example)
			if last := &wrong[len(wrong)-1]; isDigit(*last) {
				*last = '0' + (*last-'0'+1)%10
			} else if *last = *last + 1; *last > 'Z' {
				*last = 'A'
			}
			require.False(t, scheme.valid(string(wrong)), "%s", wrong)
		})
	}
	require.True(t, slices.IsSorted(names))
	for _, tt := range []struct{ scheme, number, want string }{
		{"uk_utr", "0001123456789", "[national-id]"}, {"de_pass", "T22000129", "[national-id]"},
		{"de_pass", "C22000129", "C22000129"}, {"sg_uen", "201434292D", "[national-id]"}, {"sg_uen", "S57TU0392K", "[national-id]"},
		{"hk_id", "AB9876543", "[national-id]"}, {"hk_id", "AB9876542", "AB9876542"}, {"no_fnr", "55108699999", "55108699999"},
		{"uk_dl", "SM9TH851010AB1CD", "SM9TH851010AB1CD"}, {"kr_pass", "M12345678", "[national-id]"},
		{"is_kt", "4504013150", "[national-id]"}, {"de_lanr", "123456901", "123456901"},
	} {
		out, _ := scanner(t, func(set *Settings) { set.NationalIDs = []string{tt.scheme} }).Text(tt.number)
		require.Equal(t, tt.want, out, "%s %s", tt.scheme, tt.number)
	}
}

// TestSchemesTakeAnything: what stands in a text reaches the schemes with no other check than its length.
func TestSchemesTakeAnything(t *testing.T) {
	t.Parallel()
	for _, scheme := range schemes {
		for _, n := range scheme.lengths {
			for _, c := range "0A9Z5M" {
				v := make([]byte, n)
				for i := range v {
					v[i] = byte(c)
					if i%3 == 1 {
						v[i] = '7'
					}
				}
				require.NotPanics(t, func() { scheme.valid(string(v)) }, "%s %s", scheme.Name, v)
			}
		}
	}
}

func TestDocumentationListsSchemes(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../../docs/pii.md")
	require.NoError(t, err)
	_, list, ok := strings.Cut(string(doc), "goes with it:\n\n")
	require.True(t, ok)
	list, _, _ = strings.Cut(list, "\n\n")
	var names []string
	for _, scheme := range Schemes() {
		names = append(names, "`"+scheme.Name+"`")
	}
	require.Equal(t, strings.Join(names, ", "), strings.Join(strings.Fields(list), " "))
}
