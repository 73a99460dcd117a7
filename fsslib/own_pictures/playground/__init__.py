"""The playground: paint, name, compare, save. `page.Playground` is the widget of its notebook."""
