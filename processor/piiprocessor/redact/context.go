package redact

// context is what the words before or after a number say that it may be.
type context uint8

const (
	saysPhone   context = 1 << iota
	saysCall            // a phone number, where it is written in groups
	saysCard            // a payment card
	saysID              // a number that a state gave a person or a company
	saysVersion         // a version, not an address
	saysLink            // nothing: the word joins another one to the number
)

var contextWords = func() map[string]context {
	all := map[string]context{}
	for c, words := range map[context][]string{
		saysPhone: {
			"phone", "phones", "tel", "telephone", "mobile", "cell", "cellphone", "fax", "msisdn", "contact", "handy",
			"telefon", "telefono", "telefone", "telepono", "whatsapp", "hotline", "landline", "gsm", "dial", "phonenumber",
			"mobil", "rufnummer", "portable",
		},
		saysCall: {
			"call", "called", "calling", "reach", "ring", "answering", "text", "texts", "messages", "sms", "callback",
			"desk", "office", "home", "work", "us", "cn",
		},
		saysCard: {"card", "cards", "cc", "pan", "credit", "debit", "visa", "mastercard", "amex", "maestro", "cardnumber"},
		saysID: {
			"ssn", "nhs", "nino", "insurance", "passport", "passports", "tax", "taxid", "tin", "tfn", "abn", "acn", "sin", "bsn",
			"pesel", "nip", "cpf", "cnpj", "nif", "nie", "dni", "nir", "nuss", "amka", "afm", "cnp", "egn", "hetu",
			"henkilötunnus", "personnummer", "orgnummer", "rrn", "frn", "brn", "nric", "fin", "uen", "aadhaar", "gstin",
			"itin", "npi", "dea", "mbi", "medicare", "utr", "pps", "ppsn", "vat", "nin", "identity", "identification",
			"national", "social", "citizen", "aba", "routing", "licence", "license", "steuer", "ust", "svnr", "emso", "rsa",
			"resident", "refugee", "swedish", "provider", "kimlik", "fiscale", "codice", "führerscheinnummer", "rodne",
			"insee", "curp", "rut", "tckn", "idnr", "steuernummer", "ausweisnummer", "fiscal", "bsnr", "lanr",
			"เลขประจำตัวประชาชน",
		},
		saysVersion: {"version", "versions", "firmware", "ver"},
		saysLink: {
			"at", "on", "is", "me", "my", "no", "nr", "number", "num", "to", "the", "a", "for", "of", "from", "now", "was",
			"are", "old", "new", "please", "number's", "es", "id", "code", "s", "it", "or", "and", "registered", "lost",
			"bitte", "lautet", "with", "lib", "international", "one", "security",
		},
	} {
		for _, w := range words {
			all[w] |= c
		}
	}
	return all
}()

const (
	contextWordsBefore = 5
	contextReach       = 64
	maxContextWord     = 24
)

// before returns what the word before t[i] that says anything says of it. Only words that join it to the number, and one
// more, may stand between, in one phrase.
func before(t string, i int) (c context) {
	at := i
	for n := range contextWordsBefore {
		// What may stand between: after the last word also what ends a key.
		for at > 0 && i-at < contextReach {
			b := t[at-1]
			if b == ' ' || b == ':' || b == '#' || b == '\n' || b == '\t' || b == '(' || b == '?' || b == '.' || b == '+' ||
				n == 0 && (b == '=' || b == '"' || b == '\'' || b == '\\') || n > 0 && (b == '\'' || b == '-') {
				at--
				continue
			}
			break
		}
		end := at
		for at > 0 && end-at <= maxContextWord*2 && (isAlpha(t[at-1]) || t[at-1] >= 0x80) {
			at--
		}
		if at == end || end-at > maxContextWord*2 || at > 0 && (isDigit(t[at-1]) || t[at-1] == '/' || t[at-1] == '@') {
			return 0
		}
		word := contextOf(t[at:end])
		if c = word &^ saysLink; c != 0 || n > 0 && word == 0 {
			return c
		}
	}
	return 0
}

// after returns what the word after t[i] says: "020 123 4567 office", "… -Fax".
func after(t string, i int) context {
	j := i
	for j < len(t) && j-i < 3 && (t[j] == ' ' || t[j] == '-' || t[j] == '(') {
		j++
	}
	end := j
	for end < len(t) && end-j <= maxContextWord && isAlpha(t[end]) {
		end++
	}
	if j == i {
		return 0
	}
	return contextOf(t[j:end])
}

// contextOf looks up a word, whatever its case.
func contextOf(word string) context {
	var buf [2 * maxContextWord]byte
	if len(word) > len(buf) {
		return 0
	}
	for i := range len(word) {
		buf[i] = lower(word[i])
	}
	return contextWords[string(buf[:len(word)])]
}
