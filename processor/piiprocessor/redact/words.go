package redact

// A meaning is what a key says about its value.
type meaning uint8

const (
	meansNothing    meaning = iota
	meansSecret             // whatever the value is
	meansToken              // a secret, unless the value is a word of prose after "token: "
	meansKey                // a secret where the value looks minted
	meansHeader             // Authorization, Cookie: everything to the end of the line
	meansPerson             // a name, a user name, a birthday, a street
	meansPhone              //
	meansNationalID         //
	meansLocation           // a coordinate
	meansCard               // a payment card's number
	meansVersion            // four numbers with dots are not an address here
)

// words gives the meaning of a key's last word, last two words joined, or all of them joined, in lower case without
// separators.
var words = map[string]meaning{
	"password": meansSecret, "passwd": meansSecret, "pwd": meansSecret, "passphrase": meansSecret,
	"passcode": meansSecret, "passwort": meansSecret, "userpass": meansSecret, "pass": meansSecret,
	"secret": meansSecret, "secrets": meansSecret, "credential": meansSecret, "credentials": meansSecret,
	"apikey": meansSecret, "accesskey": meansSecret, "secretkey": meansSecret, "privatekey": meansSecret,
	"authkey": meansSecret, "signingkey": meansSecret, "encryptionkey": meansSecret, "masterkey": meansSecret,
	"accountkey": meansSecret, "sharedkey": meansSecret, "storagekey": meansSecret, "accesskeyid": meansSecret,
	"connectionstring": meansSecret, "cvv": meansSecret, "cvc": meansSecret,
	"otp": meansSecret, "totp": meansSecret, "pin": meansSecret, "pincode": meansSecret, "mfacode": meansSecret,
	"otpcode": meansSecret, "verificationcode": meansSecret, "authcode": meansSecret,

	"token": meansToken, "tokens": meansToken, "jwt": meansToken, "bearer": meansToken, "auth": meansToken,
	"session": meansToken, "sessionid": meansToken, "sessionkey": meansToken, "sid": meansToken,
	"jsessionid": meansToken, "phpsessid": meansToken, "csrf": meansToken, "xsrf": meansToken,
	"signature": meansToken, "sig": meansToken, "hmac": meansToken, "ticket": meansToken, "sessid": meansToken,

	"authorization": meansHeader, "cookie": meansHeader, "cookies": meansHeader,

	"firstname": meansPerson, "lastname": meansPerson, "fullname": meansPerson, "surname": meansPerson,
	"givenname": meansPerson, "familyname": meansPerson, "middlename": meansPerson, "displayname": meansPerson,
	"realname": meansPerson, "nickname": meansPerson, "username": meansPerson, "login": meansPerson,
	"endusername": meansPerson, "customername": meansPerson, "cardholder": meansPerson, "holdername": meansPerson,
	"maidenname": meansPerson, "personname": meansPerson, "contactname": meansPerson, "clientname": meansNothing,
	"fname": meansPerson, "lname": meansPerson, "forename": meansPerson, "legalname": meansPerson,
	"patientname": meansPerson, "passengername": meansPerson, "guestname": meansPerson, "employeename": meansPerson,
	"ownername": meansPerson, "holder": meansPerson, "accountholder": meansPerson, "cardholdername": meansPerson,
	"dob": meansPerson, "birthday": meansPerson, "birthdate": meansPerson, "dateofbirth": meansPerson,
	"street": meansPerson, "streetaddress": meansPerson, "postaladdress": meansPerson, "homeaddress": meansPerson,
	"billingaddress": meansPerson, "shippingaddress": meansPerson, "postcode": meansPerson,
	"postalcode": meansPerson, "zipcode": meansPerson, "userid": meansPerson, "enduserid": meansPerson,

	"phone": meansPhone, "phones": meansPhone, "mobile": meansPhone, "tel": meansPhone, "telephone": meansPhone,
	"msisdn": meansPhone, "fax": meansPhone, "cellphone": meansPhone, "phonenumber": meansPhone,
	"mobilenumber": meansPhone, "phoneno": meansPhone,

	"ssn": meansNationalID, "taxid": meansNationalID, "nationalid": meansNationalID, "passport": meansNationalID,
	"passportno": meansNationalID, "passportnumber": meansNationalID, "nino": meansNationalID,
	"pesel": meansNationalID, "cpf": meansNationalID, "aadhaar": meansNationalID, "itin": meansNationalID,
	"socialsecuritynumber": meansNationalID, "driverlicense": meansNationalID, "driverslicense": meansNationalID,

	"lat": meansLocation, "lon": meansLocation, "lng": meansLocation, "latitude": meansLocation,
	"longitude": meansLocation, "coordinates": meansLocation, "latlng": meansLocation, "latlon": meansLocation,
	"geopoint": meansLocation, "gps": meansLocation,

	"card": meansCard, "cc": meansCard, "pan": meansCard, "cardnumber": meansCard, "creditcard": meansCard,
	"cardno": meansCard, "ccnumber": meansCard, "ccnum": meansCard, "creditcardnumber": meansCard,
	"cardnum": meansCard, "debitcard": meansCard, "primaryaccountnumber": meansCard,

	"version": meansVersion, "ver": meansVersion, "build": meansVersion, "release": meansVersion,
	"firmware": meansVersion, "revision": meansVersion, "agent": meansVersion, "useragent": meansVersion,
}

// anywhere holds words that mean a secret wherever in the key they stand: userPasswordOld, secret_access_key.
var anywhere = map[string]bool{"password": true, "passwd": true, "pwd": true, "passphrase": true, "secret": true}

// harmlessKeys are words before "key" that make it the name of something. Other keys are secrets where their value
// looks minted.
var harmlessKeys = map[string]bool{
	"primary": true, "foreign": true, "partition": true, "sort": true, "cache": true, "routing": true, "public": true,
	"idempotency": true, "websocket": true, "object": true, "row": true, "index": true, "hash": true, "map": true,
	"group": true, "message": true, "record": true, "lookup": true, "shard": true, "bucket": true, "s3": true,
	"i18n": true, "translation": true, "config": true, "registry": true, "unique": true, "natural": true, "event": true,
}

// telemetryWords in a key say that its value is an identifier or a digest, whoever's it is: sentry-trace.
var telemetryWords = map[string]bool{
	"trace": true, "traceid": true, "span": true, "spanid": true, "release": true, "commit": true, "sha": true,
	"digest": true, "revision": true, "request": true, "event": true, "baggage": true, "etag": true,
}

// vendorNames are services whose name in a key makes a value that looks minted a secret. Those that hold commits and
// images, which have digests, are not among them, nor are those whose name is an everyday word.
var vendorNames = map[string]bool{
	"adafruit": true, "adobe": true, "airtable": true, "algolia": true, "alibaba": true, "anthropic": true,
	"artifactory": true, "asana": true, "atlassian": true, "authress": true, "bittrex": true,
	"cloudant": true, "cloudflare": true, "codecov": true, "cohere": true, "coinbase": true, "confluent": true,
	"contentful": true, "databricks": true, "datadog": true, "digitalocean": true, "discord": true,
	"doppler": true, "droneci": true, "dropbox": true, "duffel": true, "dynatrace": true, "easypost": true, "etsy": true,
	"facebook": true, "fastly": true, "finicity": true, "finnhub": true, "flickr": true, "flutterwave": true,
	"frameio": true, "freemius": true, "freshbooks": true, "gitter": true, "gocardless": true, "grafana": true,
	"heroku": true, "hubspot": true, "huggingface": true, "intercom": true, "jfrog": true, "kucoin": true,
	"launchdarkly": true, "linkedin": true, "mailchimp": true,
	"mailgun": true, "mapbox": true, "mattermost": true, "maxmind": true, "messagebird": true, "netlify": true,
	"nytimes": true, "okta": true, "openai": true, "perplexity": true, "plaid": true,
	"planetscale": true, "postman": true, "privateai": true, "pulumi": true, "rapidapi": true,
	"scalingo": true, "sendbird": true, "sendgrid": true, "sendinblue": true, "sentry": true,
	"shippo": true, "shopify": true, "sidekiq": true, "slack": true, "snyk": true, "softlayer": true,
	"sourcegraph": true, "squarespace": true, "stripe": true, "sumologic": true, "telegram": true, "travis": true,
	"trello": true, "twilio": true, "twitch": true, "twitter": true, "typeform": true, "yandex": true,
	"zendesk": true,
}

// glued are the ends of keys whose words nothing separates: ibmcloudapikey, PGPASSWORD.
var glued = [...]string{"apikey", "apitoken", "authtoken", "accesstoken", "secretkey", "accesskey", "privatekey",
	"password", "passwd", "clientsecret", "secrettoken"}

func gluedMeaning(all []byte) meaning {
	if len(all) < len("apikey") {
		return meansNothing
	}
	switch all[len(all)-1] {
	case 'y', 'n', 'd', 't':
		for _, end := range glued {
			if n := len(all) - len(end); n > 0 && string(all[n:]) == end {
				return meansSecret
			}
		}
	}
	return meansNothing
}

// wordShapes is a set of words by first letter, last letter and length, which rules most other words out without hashing
// them.
type wordShapes [64]uint64

func (s *wordShapes) add(word string) {
	i := shape(word[0], word[len(word)-1], len(word))
	s[i/64] |= 1 << (i % 64)
}

// have reports whether word, which must not be empty, may be one of the set.
func (s *wordShapes) have(word []byte) bool {
	i := shape(word[0], word[len(word)-1], len(word))
	return s[i/64]>>(i%64)&1 != 0
}

func shape(first, last byte, length int) uint {
	return uint(first&31)<<7 | uint(last&31)<<2 | uint(length)&3
}

// knownShapes are those of all words above that are looked up.
var knownShapes = func() (s wordShapes) {
	for w := range words {
		s.add(w)
	}
	for _, set := range []map[string]bool{anywhere, telemetryWords, vendorNames} {
		for w := range set {
			s.add(w)
		}
	}
	return s
}()

// wordMeaning looks word up in words.
func wordMeaning(word []byte) (m meaning, ok bool) {
	if !knownShapes.have(word) {
		return meansNothing, false
	}
	m, ok = words[string(word)]
	return m, ok
}

// maxKeyBytes is the longest key that is looked at; keys are identifiers.
const maxKeyBytes = 64

// meaningOf classifies a key as it is written in an attribute, JSON, a form or a log line.
func meaningOf(key string) meaning {
	if len(key) > maxKeyBytes {
		key = key[len(key)-maxKeyBytes:]
	}
	// Words are cut at separators and at humps; digits at the end ("token2") do not count.
	var joined [maxKeyBytes]byte
	var starts [maxKeyBytes]uint8
	n, count := 0, 0
	for len(key) > 0 && isDigit(key[len(key)-1]) {
		key = key[:len(key)-1]
	}
	wordStart := true
	for i := range len(key) {
		c := key[i]
		if !isAlnum(c) {
			wordStart = true
			continue
		}
		// A hump: fooBar, and the last capital of XMLName.
		if isUpper(c) && i > 0 && (!isUpper(key[i-1]) || i+1 < len(key) && isLower(key[i+1])) {
			wordStart = true
		}
		if wordStart {
			starts[count] = uint8(n)
			count++
			wordStart = false
		}
		joined[n] = lower(c)
		n++
	}
	if count == 0 {
		return meansNothing
	}
	all := joined[:n]
	if m, ok := wordMeaning(all); ok {
		return m
	}
	last := int(starts[count-1])
	if count >= 2 {
		if m, _ := wordMeaning(all[starts[count-2]:]); m != meansNothing {
			return m
		}
	}
	if count >= 3 {
		if m, _ := wordMeaning(all[starts[count-3]:]); m != meansNothing {
			return m
		}
	}
	if m, _ := wordMeaning(all[last:]); m != meansNothing {
		return m
	}
	for i := range count - 1 {
		if word := all[starts[i]:starts[i+1]]; knownShapes.have(word) && anywhere[string(word)] {
			return meansSecret
		}
	}
	if string(all[last:]) == "key" {
		if count >= 2 && !harmlessKeys[string(all[starts[count-2]:last])] {
			return meansKey
		}
		return meansNothing
	}
	vendor := false
	for i := range count {
		end := n
		if i+1 < count {
			end = int(starts[i+1])
		}
		word := all[starts[i]:end]
		if !knownShapes.have(word) {
			continue
		}
		if telemetryWords[string(word)] {
			return meansNothing
		}
		vendor = vendor || vendorNames[string(word)]
	}
	if vendor {
		return meansKey
	}
	return gluedMeaning(all)
}

// ruleOf is the rule that a meaning stands for.
func ruleOf(m meaning) Rule {
	switch m {
	case meansSecret, meansToken, meansKey, meansHeader:
		return Secret
	case meansPerson:
		return Person
	case meansPhone:
		return Phone
	case meansNationalID:
		return NationalID
	case meansLocation:
		return Location
	}
	return ruleNone
}
