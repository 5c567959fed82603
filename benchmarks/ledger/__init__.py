"""Do our numbers agree with the published ones?"""
