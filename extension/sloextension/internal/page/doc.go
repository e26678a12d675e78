// Package page renders the status page: an overview of all SLOs, and a page for each. It reads no store and knows no HTTP;
// it is handed what is to be shown.
//
// The invariants to keep: what documents and events say reaches the page only through html/template; a page needs nothing
// but the style and the script of this package; nothing is said by colour alone; a list has an end.
package page
