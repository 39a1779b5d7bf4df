package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The picture's measures, in its own units.
const (
	panelWidth, panelHeight = 380.0, 260.0
	marginLeft, marginTop   = 64.0, 56.0
	panelGap                = 76.0
)

// colours are legible on white and on black.
var colours = map[string]string{direct: "#8a8a8a", leaseOnly: "#b08900", floorName: "#c0392b", peerName: "#7d3c98", earlierName: "#85c1e9", oursName: "#2471a3"}

var titles = map[string]string{mint: "Mints", revoke: "Revocations"}

// picture draws the rates of mints and revocations against the number of clients, with the spread of each.
func (r *report) picture() string {
	var b strings.Builder
	width, height := marginLeft+2*panelWidth+panelGap+24, marginTop+panelHeight+106
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="13">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%.0f" height="%.0f" fill="white"/>`+"\n", width, height)
	for i, operation := range []string{mint, revoke} {
		newPanel(r.Rates, operation, marginLeft+float64(i)*(panelWidth+panelGap)).draw(&b)
	}
	for i, name := range r.drawn() {
		x, y := marginLeft+float64(i%3)*260, marginTop+panelHeight+62+float64(i/3)*22
		fmt.Fprintf(&b, `<line x1="%.0f" y1="%.0f" x2="%.0f" y2="%.0f" stroke="%s" stroke-width="3"/>`, x, y, x+24, y, colours[name])
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f">%s</text>`+"\n", x+30, y+4, name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// drawn are the subjects that were measured.
func (r *report) drawn() []string {
	return slices.DeleteFunc(slices.Clone(subjectNames), func(name string) bool {
		return !slices.ContainsFunc(r.Rates, func(line rate) bool { return line.Subject == name })
	})
}

// panel is the picture of one operation.
type panel struct {
	operation string
	lines     []rate
	clients   []int
	// left is its left edge, top is the rate at its upper edge, and step lies between two lines of its grid.
	left, top, step float64
}

func newPanel(rates []rate, operation string, left float64) panel {
	p := panel{operation: operation, left: left}
	most := 1.0
	for _, line := range rates {
		if line.Operation != operation {
			continue
		}
		p.lines = append(p.lines, line)
		most = max(most, line.PerSecond.Most)
		if !slices.Contains(p.clients, line.Clients) {
			p.clients = append(p.clients, line.Clients)
		}
	}
	p.step = math.Pow(10, math.Floor(math.Log10(most)))
	if most/p.step < 3 {
		p.step /= 2
	}
	p.top = math.Ceil(most/p.step) * p.step
	return p
}

func (p panel) x(clients int) float64 {
	return p.left + panelWidth*(float64(slices.Index(p.clients, clients))+0.5)/float64(len(p.clients))
}

func (p panel) y(perSecond float64) float64 { return marginTop + panelHeight*(1-perSecond/p.top) }

func (p panel) draw(b *strings.Builder) {
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" font-size="15">%s per second</text>`+"\n", p.left, marginTop-20, titles[p.operation])
	for perSecond := 0.0; perSecond <= p.top; perSecond += p.step {
		y := p.y(perSecond)
		fmt.Fprintf(b, `<line x1="%.0f" y1="%.1f" x2="%.0f" y2="%.1f" stroke="#ddd"/>`, p.left, y, p.left+panelWidth, y)
		fmt.Fprintf(b, `<text x="%.0f" y="%.1f" text-anchor="end">%.0f</text>`+"\n", p.left-6, y+4, perSecond)
	}
	for _, clients := range p.clients {
		fmt.Fprintf(b, `<text x="%.1f" y="%.0f" text-anchor="middle">%d</text>`+"\n", p.x(clients), marginTop+panelHeight+18, clients)
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.0f" text-anchor="middle">clients</text>`+"\n", p.left+panelWidth/2, marginTop+panelHeight+36)
	for _, name := range subjectNames {
		p.drawLine(b, name)
	}
}

// drawLine draws one subject: its medians, joined, and the spread of each.
func (p panel) drawLine(b *strings.Builder, name string) {
	var points []string
	for _, line := range p.lines {
		if line.Subject != name {
			continue
		}
		x, y := p.x(line.Clients), p.y(line.PerSecond.Median)
		points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`, x, p.y(line.PerSecond.Least), x, p.y(line.PerSecond.Most), colours[name])
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", x, y, colours[name])
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colours[name])
}
