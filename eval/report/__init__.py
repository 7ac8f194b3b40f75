"""An evaluation as one self-contained HTML page: no network, no library in the page, everything escaped.

Charts are SVG that the templates write from the geometry in `charts`: hover titles work without a script, a page of
four tasks stays far below a megabyte without its map, and colours follow the reader's light or dark theme. Libraries
were weighed: plotly puts about 4 MB of script into every page, altair needs JavaScript from elsewhere or vl-convert (a
30 MB wheel) to inline it, matplotlib's SVG has neither hover titles nor a dark theme. Templates are jinja2's, with
autoescaping on.
"""
