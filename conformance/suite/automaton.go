package suite

import (
	"context"
	"regexp"
	"strings"

	"golang.org/x/net/html"
)

// An automaton fills in pages as a printed configuration says, and no better: what
// the official suite's browser would stumble over, it does too. One belongs to one
// run of one module, because a match may be limited.
type automaton struct {
	automations []Automation
	used        []int
}

// automaton returns the one of the case's module; nil where the run knows the pages
// itself.
func (c *Case) automaton() *automaton {
	if c.Target.Pages == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pages == nil {
		c.pages = &automaton{automations: c.Target.Pages.Browser}
		if o, ok := c.Target.Pages.Override["oidcc-"+c.Module]; ok && o.Browser != nil {
			c.pages.automations = o.Browser
		}
		c.pages.used = make([]int, len(c.pages.automations))
	}
	return c.pages
}

// tasks are those for a browser that was sent to address.
func (a *automaton) tasks(address string) ([]Task, error) {
	for i, one := range a.automations {
		if globbed(one.Match, address) && (one.Limit == 0 || a.used[i] < one.Limit) {
			a.used[i]++
			return one.Tasks, nil
		}
	}
	return nil, Failf("the configuration has nothing for a browser that is sent to %s", clipQuery(address))
}

// Walk fills in what follows address, where the browser is on p by now. Pictures that
// are wanted of a page are of the page that is there.
func (c *Case) walk(ctx context.Context, b *Browser, address string, p *Page) (_ *Page, asked []string, err error) {
	tasks, err := c.automaton().tasks(address)
	if err != nil {
		return p, nil, err
	}
	for _, t := range tasks {
		if p.Left != nil {
			break // the rest is on the application's side
		}
		if t.Match != "" && !globbed(t.Match, p.URL.String()) {
			if !t.Optional {
				return p, asked, Failf("the configuration wants %s for the task %q, and the browser is on %s", t.Match, t.Task, p)
			}
			continue
		}
		asked = append(asked, p.Kind())
		if p, err = b.command(ctx, p, t); err != nil {
			return p, asked, err
		}
	}
	return p, asked, nil
}

// command does one task's commands: text, click and wait, as the official suite
// understands them.
func (b *Browser) command(ctx context.Context, p *Page, t Task) (*Page, error) {
	var typed []string
	for _, cmd := range t.Commands {
		verb, by, target := word(cmd, 0), word(cmd, 1), word(cmd, 2)
		el := p.find(by, target)
		optional := word(cmd, len(cmd)-1) == "optional"
		switch {
		case el == nil && optional:
		case el == nil:
			return p, Failf("the configuration's task %q looks for %s %s, which is not on %s", t.Task, by, target, p)
		case verb == "text" && (hasAttr(el, "readonly") || hasAttr(el, "disabled")):
			return p, Failf("the configuration's task %q types into %s, which cannot be changed on %s", t.Task, target, p)
		case verb == "text":
			typed = append(typed, attrOf(el, "name"), word(cmd, 3))
		case verb == "wait":
			if re, err := regexp.Compile(word(cmd, 4)); err == nil && !re.MatchString(textOf(el)) {
				return p, Failf("the configuration's task %q waits for %s, which %s does not say", t.Task, word(cmd, 4), p)
			}
		case verb == "click":
			next, err := b.click(ctx, p, el, target, typed)
			if err != nil {
				return p, err
			}
			p, typed = next, nil
		}
	}
	return p, nil
}

// click follows a link or presses a button.
func (b *Browser) click(ctx context.Context, p *Page, el *html.Node, id string, typed []string) (*Page, error) {
	if el.Data != "a" {
		return b.Press(ctx, p, id, typed...)
	}
	to, err := p.URL.Parse(attrOf(el, "href"))
	if err != nil {
		return nil, Failf("the link %s on %s has no address", id, p)
	}
	if !sameOrigin(to, b.home) {
		left := *p
		left.Left = to
		return &left, nil
	}
	return b.Open(ctx, to.String())
}

// find returns an element by its id, or the first heading; nothing else is printed.
func (p *Page) find(by, target string) *html.Node {
	if by == "xpath" && target == "//h1" {
		for n := range p.doc.Descendants() {
			if n.Type == html.ElementNode && n.Data == "h1" {
				return n
			}
		}
		return nil
	}
	return p.element(target)
}

func word(command []any, i int) string {
	if i < 0 || i >= len(command) {
		return ""
	}
	s, _ := command[i].(string)
	return s
}

// globbed reports whether address is what pattern means: * is anything.
func globbed(pattern, address string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == address
	}
	rest, ok := strings.CutPrefix(address, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

func clipQuery(address string) string {
	path, _, _ := strings.Cut(address, "?")
	return path
}

// Leave sends the browser to the logout endpoint and confirms where the person is
// asked, as the configuration says where there is one. It returns where the browser
// ends up.
func (c *Case) Leave(ctx context.Context, b *Browser, address string) (*Page, error) {
	p, err := b.Open(ctx, address)
	if err != nil {
		return p, err
	}
	if c.Target.Pages != nil {
		p, _, err = c.walk(ctx, b, address, p)
		return p, err
	}
	if p.Kind() == LogoutPage {
		return b.Press(ctx, p, "logout-confirm")
	}
	return p, nil
}
