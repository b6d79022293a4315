"""What one form of a model costs against another."""
