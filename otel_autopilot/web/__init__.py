"""HTTP as we serve it: who is let in, limits, problems, uvicorn inside our event loop."""
