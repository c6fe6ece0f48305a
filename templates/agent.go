package templates

import "strings"

// A mark is a word in a User-Agent and what it says to people. Marks are asked in
// order: nearly every browser claims to be some others as well.
type mark struct{ word, means string }

var browsers = []mark{
	{"Edg", "Edge"},
	{"OPR/", "Opera"},
	{"SamsungBrowser/", "Samsung Internet"},
	{"Vivaldi/", "Vivaldi"},
	{"Firefox/", "Firefox"},
	{"FxiOS/", "Firefox"},
	{"CriOS/", "Chrome"},
	{"Chromium/", "Chromium"},
	{"Chrome/", "Chrome"},
	{"Safari/", "Safari"},
	{"curl/", "curl"},
}

var systems = []mark{
	{"Tizen", "Samsung TV"},
	{"Web0S", "LG TV"},
	{"AppleTV", "Apple TV"},
	{"Apple TV", "Apple TV"},
	{"Roku", "Roku"},
	{"CrKey", "Chromecast"},
	{"PlayStation", "PlayStation"},
	{"Xbox", "Xbox"},
	{"iPhone", "iPhone"},
	{"iPad", "iPad"},
	{"Android", "Android"},
	{"CrOS", "ChromeOS"},
	{"Windows", "Windows"},
	{"Macintosh", "macOS"},
	{"Mac OS X", "macOS"},
	{"Linux", "Linux"},
	{"FreeBSD", "FreeBSD"},
}

// Agent reads the words people use from a User-Agent, "" for what it does not
// know. What comes out is always one of our own words, never one of the header's.
func Agent(userAgent string) (browser, system string) {
	return firstOf(browsers, userAgent), firstOf(systems, userAgent)
}

func firstOf(marks []mark, s string) string {
	for _, m := range marks {
		if strings.Contains(s, m.word) {
			return m.means
		}
	}
	return ""
}
