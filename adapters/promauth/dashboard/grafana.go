package main

import "fmt"

// object is a JSON object of the dashboard file. Its members are written in the order of their
// names.
type object = map[string]any

// dataSource refers to the Prometheus server that the user selects at the top of the dashboard.
var dataSource = object{"type": "prometheus", "uid": "${datasource}"}

// Grafana divides a dashboard into 24 columns. Each of our panels takes 12 columns, so two panels
// are side by side.
const (
	chartWidth  = 12
	chartHeight = 8
)

// newDashboard returns the whole dashboard in the JSON format that Grafana imports.
func newDashboard(rows []row) object {
	var panels []object
	id, y := 0, 0
	for _, r := range rows {
		id++
		title := object{
			"id": id, "type": "row", "title": r.title, "collapsed": r.closed,
			"gridPos": object{"x": 0, "y": y, "w": 2 * chartWidth, "h": 1},
		}
		y++
		inside := []object{}
		for i, c := range r.charts {
			id++
			inside = append(inside, newPanel(id, c, object{
				"x": i % 2 * chartWidth, "y": y + i/2*chartHeight, "w": chartWidth, "h": chartHeight,
			}))
		}
		if r.closed {
			title["panels"] = inside
			panels = append(panels, title)
			continue
		}
		title["panels"] = []object{}
		panels = append(append(panels, title), inside...)
		y += (len(r.charts) + 1) / 2 * chartHeight
	}
	return object{
		"uid":           "xenaauth",
		"title":         "xenaauth",
		"description":   "What xenaauth decides about requests, and the state of its instances.",
		"tags":          []string{"xenaauth"},
		"schemaVersion": 39,
		"editable":      true,
		"graphTooltip":  1, // the value 1 makes all panels show the same moment under the pointer
		"refresh":       "1m",
		"time":          object{"from": "now-6h", "to": "now"},
		"templating": object{"list": []object{
			{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
			newVariable("job", "label_values(xenaauth_issuer_ready, job)"),
			newVariable("instance", `label_values(xenaauth_issuer_ready{job=~"$job"}, instance)`),
		}},
		"annotations": object{"list": []object{}},
		"panels":      panels,
	}
}

// newVariable returns a list at the top of the dashboard, in which the user selects some values of
// a Prometheus label, or all. The parameter query finds the values.
func newVariable(name, query string) object {
	return object{
		"name": name, "type": "query", "datasource": dataSource,
		"definition": query,
		"query":      object{"query": query, "refId": "Variables"},
		"refresh":    2, // the value 2 reads the list again when the time range changes
		"sort":       1,
		"multi":      true, "includeAll": true, "allValue": ".*",
		"current": object{"text": []string{"All"}, "value": []string{"$__all"}},
	}
}

func newPanel(id int, c chart, position object) object {
	defaults := object{"unit": c.unit, "min": 0}
	panel := object{
		"id": id, "title": c.title, "type": "timeseries", "datasource": dataSource, "gridPos": position,
		"fieldConfig": object{"defaults": defaults, "overrides": []object{}},
		"options": object{
			"legend": object{
				"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{},
			},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		},
	}
	if c.description != "" {
		panel["description"] = c.description
	}
	if c.redLimit > 0 {
		defaults["thresholds"] = object{"mode": "absolute", "steps": []object{
			{"color": "green", "value": nil}, {"color": "red", "value": c.redLimit},
		}}
		defaults["custom"] = object{"thresholdsStyle": object{"mode": "line"}}
	}
	if c.asNumbers {
		panel["type"] = "stat"
		panel["options"] = object{
			"textMode": "value_and_name", "colorMode": "none", "graphMode": "none",
			"justifyMode": "auto", "orientation": "auto", "wideLayout": true,
			"showPercentChange": false, "percentChangeColorMode": "standard",
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		}
	}
	var targets []object
	for i, q := range c.queries {
		targets = append(targets, object{
			"refId": fmt.Sprintf("%c", 'A'+i), "datasource": dataSource,
			"expr": q.fullQuery(), "legendFormat": q.legend, "range": !c.asNumbers, "instant": c.asNumbers,
		})
	}
	panel["targets"] = targets
	return panel
}
